// JsSIP under Node: registers over WebSocket, answers calls, calls when told to. No media: the
// browser's RTCPeerConnection is a shim with one fixed description.
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
  sockets: [new JsSIP.WebSocketInterface(`ws://${told.node}`)],
  uri: `sip:${told.user}@${told.domain}`,
  password: told.password,
  session_timers: false,
});
let session = null;

agent.on("registered", () => say("registered"));
agent.on("registrationFailed", (fault) => say("registration failed", { cause: fault.cause }));
agent.on("newRTCSession", (made) => {
  session = made.session;
  session.on("confirmed", () => say("confirmed"));
  session.on("ended", () => say("ended"));
  session.on("failed", (fault) => say("failed", { cause: fault.cause }));
  session.on("hold", (one) => say("hold", { by: one.originator }));
  session.on("unhold", (one) => say("unhold", { by: one.originator }));
  if (made.originator === "remote") session.answer(options);
});
agent.start();

const commands = {
  call: (number) => agent.call(`sip:${number}@${told.domain}`, options),
  "hang up": () => session.terminate(),
  hold: () => session.hold(),
  resume: () => session.unhold(),
  dtmf: (digit) => session.sendDTMF(digit, { transportType: "INFO" }),
  transfer: (number) => session.refer(`sip:${number}@${told.domain}`),
};
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const [command, ...words] = JSON.parse(line);
  commands[command](...words);
});
