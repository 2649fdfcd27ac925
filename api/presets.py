"""The published experiments."""

from fastapi import APIRouter

from api.errors import documented
from ganlib.spec.preset import get_preset, preset_names
from ganlib.wire.catalog import PresetList, PresetSummary, PresetView

router = APIRouter(prefix="/presets", tags=["presets"])


@router.get("")
def list_presets() -> PresetList:
    """List the published experiments."""
    return PresetList(items=tuple(PresetSummary.model_validate(get_preset(name)) for name in preset_names()))


@router.get("/{name}", responses=documented(404))
def get_preset_by_name(name: str) -> PresetView:
    """Look at a published experiment, with its spec."""
    return PresetView.model_validate(get_preset(name))
