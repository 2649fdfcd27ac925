"""The published experiments."""

from fastapi import APIRouter

from api.errors import documented
from api.schemas import PresetList, PresetSummary, PresetView
from ganlib.spec.preset import get_preset, preset_names

router = APIRouter(prefix="/presets", tags=["presets"])


@router.get("")
def list_presets() -> PresetList:
    """List the published experiments."""
    return PresetList(items=[PresetSummary.of(get_preset(name)) for name in preset_names()])


@router.get("/{name}", responses=documented(404))
def get_preset_by_name(name: str) -> PresetView:
    """Look at a published experiment, with its spec."""
    return PresetView.of(get_preset(name))
