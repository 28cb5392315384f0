"""The network beside Fig. 1 and Fig. 2: shapes, sizes, variants."""

import dataclasses

import pytest
import torch

from organnet.errors import OrganNetError
from organnet.layers import FLAT, SLICES, FlatConv, MaxPool
from organnet.model import OrganNet, ResSE, parameter_count
from organnet.settings import VARIANTS, ModelSettings, make_settings

FIG_1 = {  # row: channels and grid for a 48 x 256 x 256 patch (paper, Fig. 1)
    "row_1": (16, 48, 256, 256),
    "row_2": (16, 48, 128, 128),
    "row_3": (32, 48, 128, 128),
    "row_4": (32, 24, 64, 64),
    "row_5": (64, 24, 64, 64),
    "row_6": (128, 24, 64, 64),
    "row_7": (256, 24, 64, 64),
    "row_8": (128, 24, 64, 64),
    "row_9": (128, 24, 64, 64),
    "row_10": (64, 24, 64, 64),
    "row_11": (64, 24, 64, 64),
    "row_12": (32, 48, 128, 128),
    "row_13": (32, 48, 128, 128),
    "row_14": (16, 48, 256, 256),
    "row_15": (32, 48, 256, 256),
    "row_16": (10, 48, 256, 256),
}


def test_every_row_has_the_shape_of_fig_1() -> None:
    model = OrganNet(ModelSettings()).eval()
    seen: dict[str, tuple[int, ...]] = {}
    for name, row in model.named_children():
        row.register_forward_hook(
            lambda _module, _inputs, out, name=name: seen.update({name: tuple(out.shape[1:])})
        )
    with torch.inference_mode():
        model(torch.zeros(1, 1, 4, 32, 32))
    for name, (channels, z, y, x) in FIG_1.items():
        assert seen[name] == (channels, z * 4 // 48, y * 32 // 256, x * 32 // 256), name


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("flat", [True, False])
def test_slices_that_go_through_the_flat_rows_apart_change_nothing(
    norm: str, flat: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = OrganNet(ModelSettings(width=4, norm=norm, flat_blocks=flat)).train()
    patch = torch.randn(2, 1, 2 * SLICES + 2, 16, 16)
    with torch.no_grad():
        model(patch)  # running means and variances that are not 0 and 1
    model.eval()
    seen: dict[str, list[int]] = {"row_1": [], "row_16": []}
    for name, slices in seen.items():
        row = model.get_submodule(name)
        row.register_forward_hook(lambda *args, s=slices: s.append(args[-1].shape[2]))
    with torch.inference_mode():
        apart = model(patch)
        parts = [SLICES, SLICES, 2] if norm == "batch" and flat else [2 * SLICES + 2]
        assert seen == {"row_1": parts, "row_16": parts}
        monkeypatch.setattr("organnet.layers.SLICES", patch.shape[2])
        torch.testing.assert_close(apart, model(patch))


def test_parameters_are_those_of_the_published_sizes() -> None:
    assert parameter_count(OrganNet(ModelSettings(se_reduction=16))) == pytest.approx(8.02e6, 1e-3)
    assert parameter_count(OrganNet(ModelSettings(se_reduction=1))) == pytest.approx(8.23e6, 1e-3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_keeps_the_grid_and_differs_as_named(variant: str) -> None:
    settings = make_settings("phantom", "smoke", variant)
    model = OrganNet(settings.model).eval()
    with torch.inference_mode():
        out = model(torch.randn(2, 1, *settings.patches.size))
    assert out.shape == (2, 10, *settings.patches.size)
    base = make_settings("phantom", "smoke")
    if variant != "organnet":
        assert (settings.model, settings.loss) != (base.model, base.loss)
    if variant == "no-hdc":  # the ablation takes away the dilation alone
        assert parameter_count(model) == parameter_count(OrganNet(base.model))
        assert {m.dilation for m in model.modules() if hasattr(m, "dilation")} == {(1, 1, 1)}
    if variant == "no-resse":
        assert not any(isinstance(m, torch.nn.Linear) for m in model.modules())
    if variant == "all-3d":
        assert not any(getattr(m, "kernel_size", None) == (1, 3, 3) for m in model.modules())
    if variant == "unet":
        assert sum(isinstance(m, MaxPool) for m in model.modules()) == 4


def test_res_se_is_the_formula_of_fig_2() -> None:
    block = ResSE(2, 6, (1, 1), ModelSettings(se_reduction=2)).eval()
    x = torch.randn(2, 2, 4, 5, 6)
    features = block.features(x)
    first, _, second, _ = block.excite
    pooled = features.mean((2, 3, 4))
    s = torch.sigmoid(second(torch.relu(first(pooled))))
    expected = features * s[..., None, None, None] + features
    torch.testing.assert_close(block(x), expected)


def test_hdc_sees_every_voxel_of_its_field() -> None:
    """Rates without a common factor leave no hole: the reason for HDC (Wang et al., WACV 2018)."""

    def reached(rates: tuple[int, ...]) -> torch.Tensor:
        block = ResSE(1, 1, rates, ModelSettings(residual_se=False))
        for module in block.features:
            if isinstance(module, torch.nn.Conv3d):
                torch.nn.init.ones_(module.weight)
        x = torch.zeros(1, 1, 1, 33, 33, requires_grad=True)
        block.features.eval()(x + 1)[0, 0, 0, 16, 16].backward()
        return x.grad[0, 0, 0] != 0

    assert reached((1, 2, 5))[8:25, 8:25].all()
    assert not reached((2, 2, 2))[10:23, 10:23].all()


def test_max_pool_is_torchs() -> None:
    x = torch.randn(2, 3, 4, 6, 8)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    a, b = MaxPool((2, 2, 2))(ours), torch.nn.functional.max_pool3d(theirs, 2)
    torch.testing.assert_close(a, b)
    a.square().sum().backward()
    b.square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("rate", [1, 2])
def test_a_flat_convolution_of_images_is_that_of_volumes(
    layout: torch.memory_format, rate: int
) -> None:
    """What a GPU takes, on the CPU: the numbers, their gradients and how they lie in memory."""
    rates = (1, rate, rate)
    flat = FlatConv(3, 5, FLAT, padding=(0, rate, rate), dilation=rates).double()
    x = torch.randn(2, 3, 4, 6, 7, dtype=torch.double).to(memory_format=layout).requires_grad_()
    sides = []
    for convolve in (flat.forward, flat.of_images):
        made = convolve(x)
        gradients = torch.autograd.grad(made.square().sum(), (x, flat.weight, flat.bias))
        sides.append((made, *gradients))
    for volumes, images in zip(*sides, strict=True):
        torch.testing.assert_close(images, volumes)
    if layout == torch.channels_last_3d:
        assert sides[1][0].is_contiguous(memory_format=layout)


def test_the_flat_rows_alone_are_of_flat_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    for variant in ("organnet", "all-3d"):
        model = OrganNet(make_settings("phantom", "smoke", variant).model)
        flat = {n.split(".")[0] for n, m in model.named_modules() if isinstance(m, FlatConv)}
        assert flat == ({"row_1", "row_15"} if variant == "organnet" else set())
    taken = []
    monkeypatch.setattr(FlatConv, "of_images", lambda _, x: taken.append(x) or x)
    flat, x = FlatConv(1, 1, FLAT, padding=(0, 1, 1)), torch.zeros(1, 1, 2, 4, 4)
    flat(x)
    assert not taken
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    flat(x)
    assert len(taken) == 1


def test_every_parameter_learns() -> None:
    model = OrganNet(make_settings("phantom", "smoke").model)
    model(torch.randn(2, 1, 8, 16, 16)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
def test_norms(norm: str) -> None:
    model = OrganNet(ModelSettings(width=4, norm=norm))
    assert torch.isfinite(model(torch.randn(2, 1, 4, 16, 16))).all()


@pytest.mark.parametrize("changes", [{"norm": "layer"}, {"downsamplings": 3}])
def test_settings_that_make_no_network_are_refused(changes: dict) -> None:
    with pytest.raises(OrganNetError, match="choose"):
        OrganNet(dataclasses.replace(ModelSettings(width=4), **changes))
