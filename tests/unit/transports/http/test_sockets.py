from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from whisperlive_hybrid.transports.http.errors import WireError
from whisperlive_hybrid.transports.http.sockets import require_upgrade, was_closed


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Upgrade": "h2c", "Connection": "Upgrade"},
        {"Upgrade": "websocket"},
        {"Upgrade": "websocket", "Connection": "keep-alive, no-upgrade"},
    ],
)
def test_a_plain_request_is_told_what_the_path_speaks(headers: dict[str, str]) -> None:
    with pytest.raises(WireError) as refused:
        require_upgrade(make_mocked_request("GET", "/ws/stream", headers=headers))
    assert (refused.value.status, refused.value.code) == (426, "upgrade_required")
    assert refused.value.headers["Upgrade"] == "websocket"


def test_a_handshake_passes_however_it_is_spelt() -> None:
    headers = {"Upgrade": " WebSocket ", "Connection": "keep-alive, upgrade"}
    require_upgrade(make_mocked_request("GET", "/ws/stream", headers=headers))


@pytest.mark.parametrize(("code", "closed"), [(None, False), (1006, False), (1000, True), (1001, True), (4401, True)])
def test_a_socket_that_broke_was_not_closed(code: int | None, closed: bool) -> None:
    socket = web.WebSocketResponse()
    socket._close_code = code
    assert was_closed(socket) is closed
    assert not was_closed(web.Response())
    assert not was_closed(None)
