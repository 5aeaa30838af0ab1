"""All dashboards."""

from deploy.dashboards.media import MEDIA
from deploy.dashboards.overview import OVERVIEW
from deploy.dashboards.sip import SIP

BOARDS = (OVERVIEW, SIP, MEDIA)
