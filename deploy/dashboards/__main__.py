"""Write deploy/grafana/*.json anew."""

from pathlib import Path

from deploy.dashboards.board import to_json
from deploy.dashboards.boards import BOARDS

FOLDER = Path(__file__).parents[1] / "grafana"

for board in BOARDS:
    (FOLDER / f"{board.uid}.json").write_text(to_json(board), "utf-8")
