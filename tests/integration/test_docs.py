"""What a running server says about itself."""

import pytest

from course import Lab
from tests.frame_check import ASYNCAPI

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_published_document_is_the_one_all_frames_are_checked_against(lab: Lab) -> None:
    """``/asyncapi.json`` names the server it comes from; its schemas are those of the tests."""
    http = await lab.http("ann", instance=1)
    published = (await http.get("/asyncapi.json")).json()
    assert published["servers"]["this"]["host"] == lab.url(1).removeprefix("http://")
    assert {name: published[name] for name in ("channels", "operations", "components")} == {
        name: ASYNCAPI[name] for name in ("channels", "operations", "components")
    }
