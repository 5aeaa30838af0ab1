// JsSIP under Node: registers over WebSocket, answers calls, calls, writes and subscribes when told
// to. No media: the browser's RTCPeerConnection is a shim that describes one stream.
const told = JSON.parse(process.argv[2]);
const sdp =
  "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n" +
  "m=audio 9 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n";

class FakePeerConnection extends EventTarget {
  constructor() {
    super();
    this.iceGatheringState = "complete";
    this.iceConnectionState = "connected";
    this.signalingState = "stable";
    this.localDescription = null;
  }
  async createOffer() { return { type: "offer", sdp }; }
  async createAnswer() { return { type: "answer", sdp }; }
  async setLocalDescription(one) { this.localDescription = one; }
  async setRemoteDescription() {}
  addTrack() {}
  addStream() {}
  getSenders() { return []; }
  getReceivers() { return []; }
  close() {}
}

globalThis.WebSocket = require("ws");
globalThis.RTCPeerConnection = FakePeerConnection;
globalThis.RTCSessionDescription = class { constructor(one) { Object.assign(this, one); } };
globalThis.window = globalThis;
const JsSIP = require("jssip");

const say = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));
const options = { mediaStream: { getTracks: () => [] }, mediaConstraints: { audio: true } };
const agent = new JsSIP.UA({
  sockets: [new JsSIP.WebSocketInterface(`${told.scheme}://${told.node}`)],
  uri: `sip:${told.user}@${told.domain}`,
  password: told.password,
  session_timers: false,
});
const sessions = [];
const uri = (number) => `sip:${number}@${told.domain}`;
const last = () => sessions[sessions.length - 1];

agent.on("registered", () => say("registered"));
agent.on("registrationFailed", (fault) => say("registration failed", { cause: fault.cause }));
agent.on("newMessage", (made) => {
  if (made.originator === "remote") say("message", { text: made.request.body });
});
agent.on("newRTCSession", (made) => {
  const session = made.session;
  sessions.push(session);
  const over = () => sessions.splice(sessions.indexOf(session), 1);
  session.on("confirmed", () => say("confirmed"));
  session.on("ended", () => { over(); say("ended"); });
  session.on("failed", (fault) => { over(); say("failed", { cause: fault.cause }); });
  session.on("hold", (one) => say("hold", { by: one.originator }));
  session.on("unhold", (one) => say("unhold", { by: one.originator }));
  if (made.originator === "remote") session.answer(options);
});
agent.start();

const documents = {
  "message-summary": "application/simple-message-summary",
  dialog: "application/dialog-info+xml",
  presence: "application/pidf+xml",
};
const answered = (one) => say(`${one.response.method} ${one.response.status_code}`);

const commands = {
  call: (number) => agent.call(uri(number), options),
  "hang up": () => [...sessions].forEach((session) => session.terminate()),
  hold: () => last().hold({}, () => say("put on hold")),
  resume: () => last().unhold(),
  dtmf: (digit) => last().sendDTMF(digit, { transportType: "INFO" }),
  transfer: (number) => last().refer(uri(number)),
  "transfer to consulted": () => {
    const [first, second] = sessions;
    first.refer(second.remote_identity.uri, { replaces: second });
  },
  watch: (event, number) => {
    const subscriber = agent.subscribe(uri(number), event, documents[event], { expires: 300 });
    subscriber.on("notify", (final, request, body) => say("notify", { text: body }));
    subscriber.on("terminated", (code) => say("subscription over", { code }));
    subscriber.subscribe();
  },
  write: (number, text) => agent.sendMessage(uri(number), text),
  ask: (number) =>
    agent.sendOptions(uri(number), "", { eventHandlers: { succeeded: answered, failed: answered } }),
};
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const [command, ...words] = JSON.parse(line);
  commands[command](...words);
});
