"""Whether a torch uses a card, why not, and what to type: by the shipped data."""

import pytest

from xcompat.diagnosis.gpu import build_for, outlook_of
from xcompat.domain import Environment
from xcompat.domain.gpu import Card, Graphics
from xcompat.matrix.gpu import load_gpu

DATA = load_gpu()
H100 = Graphics((Card("nvidia", "NVIDIA H100 80GB HBM3", "sm_90", 81559),), {"nvidia": "580.65.06"})
LAPTOP = Graphics(
    (
        Card("nvidia", "NVIDIA GeForce RTX 5080 Laptop GPU", "sm_120", 16303),
        Card("intel", integrated=True, ready=True),
    ),
    {"nvidia": "580.97"},
)
GTX_1060 = Graphics(
    (Card("nvidia", "NVIDIA GeForce GTX 1060 6GB", "sm_61", 6144),), {"nvidia": "535.183.01"}
)
T4 = Graphics((Card("nvidia", "Tesla T4", "sm_75", 15360),), {"nvidia": "550.90.07"})
XTX = Graphics((Card("amd", architecture="gfx1100", memory=24560),), {"amd": "6.12.12"})
ARC = Graphics((Card("intel"),))
LINUX, WINDOWS, ARM = "linux-x86_64", "win-amd64", "linux-aarch64"
INDEX = "https://download.pytorch.org/whl/"


def outlook(graphics, torch, build="", platform=LINUX, *, audio=None, **packages):
    named = {"torch": torch, "torchaudio": audio or torch, **packages}
    here = Environment(
        python="3.11.7",
        platform=platform,
        packages={name: version for name, version in named.items() if version},
        source="",
        builds={"torch": build} if build else {},
    )
    return outlook_of(here, graphics, DATA)


def installs(torch, build, audio=None):
    return (
        f"pip install torch=={torch}+{build} torchaudio=={audio or torch}+{build}"
        f" --index-url {INDEX}{build}"
    )


@pytest.mark.parametrize(
    ("graphics", "torch", "build", "platform"),
    [
        (H100, "2.2.2", "cu121", LINUX),
        (H100, "2.13.0", "cu130", LINUX),
        (H100, "2.11.0", "", ARM),
        (LAPTOP, "2.8.0", "cu128", WINDOWS),
        (GTX_1060, "2.5.1", "cu124", LINUX),
        (GTX_1060, "2.8.0", "cu126", LINUX),
        (T4, "2.9.1", "cu128", LINUX),
        (XTX, "2.8.0", "rocm6.4", LINUX),
        (ARC, "2.8.0", "xpu", LINUX),
        (ARC, "2.8.0", "xpu", WINDOWS),
    ],
)
def test_a_build_for_the_card_uses_it(graphics, torch, build, platform):
    told = outlook(graphics, torch, build, platform)
    assert told.uses is True
    assert told.command == ""
    assert not told.signs


@pytest.mark.parametrize(
    ("graphics", "torch", "build", "platform", "sign", "command"),
    [
        # Torch for the CPU, on Linux and as Windows' default.
        (H100, "2.8.0", "cpu", LINUX, "gpu-cpu-torch", installs("2.8.0", "cu128")),
        (LAPTOP, "2.8.0", "", WINDOWS, "gpu-cpu-torch", installs("2.8.0", "cu128")),
        (GTX_1060, "2.9.1", "cpu", WINDOWS, "gpu-cpu-torch", installs("2.9.1", "cu126")),
        (XTX, "2.9.1", "cpu", LINUX, "gpu-cpu-torch", installs("2.9.1", "rocm6.4")),
        (ARC, "2.9.1", "", WINDOWS, "gpu-cpu-torch", installs("2.9.1", "xpu")),
        # No code for the card.
        (LAPTOP, "2.7.1", "cu126", LINUX, "gpu-no-kernels", installs("2.7.1", "cu128")),
        (GTX_1060, "2.8.0", "cu128", LINUX, "gpu-no-kernels", installs("2.8.0", "cu126")),
        # The wheel of the default index, which says its build nowhere.
        (GTX_1060, "2.9.1", "", LINUX, "gpu-no-kernels", installs("2.9.1", "cu126")),
        # A driver older than CUDA 13's.
        (T4, "2.12.0", "cu130", LINUX, "gpu-old-driver", installs("2.12.0", "cu126", "2.11.0")),
        # Built for the cards of another maker.
        (XTX, "2.8.0", "cu128", LINUX, "gpu-other-torch", installs("2.8.0", "rocm6.4")),
        (ARC, "2.8.0", "cu128", LINUX, "gpu-other-torch", installs("2.8.0", "xpu")),
        (H100, "2.8.0", "rocm6.4", LINUX, "gpu-other-torch", installs("2.8.0", "cu128")),
    ],
)
def test_what_keeps_torch_from_the_card(graphics, torch, build, platform, sign, command):  # noqa: PLR0917
    audio = "2.11.0" if torch == "2.12.0" else None
    told = outlook(graphics, torch, build, platform, audio=audio)
    assert told.uses is False
    assert told.sign == sign
    assert told.command == command
    (seen,) = told.signs[sign]
    assert seen == f"{told.card.called}: {told.why}"
    assert build_for(torch, audio or torch, platform, graphics, DATA) in command


@pytest.mark.parametrize(
    ("graphics", "torch", "why", "command"),
    [
        (
            LAPTOP,
            "2.2.2",
            "torch 2.2.2 (cu121) has no code for sm_120, nor has another build of 2.2; 2.7 to 2.15",
            'xcompat resolve --keep "torch>=2.7"',
        ),
        (
            GTX_1060,
            "2.15.0",
            "torch 2.15.0 (cu132) has no code for sm_61, nor has another build of 2.15; 2.0 to 2.14",  # noqa: E501
            'xcompat resolve --keep "torch<2.15"',
        ),
    ],
)
def test_a_release_without_any_build_for_the_card(graphics, torch, why, command):
    told = outlook(graphics, torch, audio="2.11.0")
    assert told.why == f"{why} have"
    assert told.command == command
    assert told.build == ""


def test_what_the_default_index_gives_for_windows_is_named():
    assert outlook(LAPTOP, "2.8.0", "cpu", WINDOWS).why == (
        "torch 2.8.0 is built for the CPU alone, as the default index gives it"
    )


def test_a_torch_alone_is_installed_alone():
    here = Environment(
        python="3.11.7",
        platform=LINUX,
        packages={"torch": "2.8.0"},
        source="",
        builds={"torch": "cpu"},
    )
    assert outlook_of(here, H100, DATA).command == (
        f"pip install torch==2.8.0+cu128 --index-url {INDEX}cu128"
    )


def test_a_torchaudio_must_be_had_in_the_same_build():
    # torch 2.15 is built for CUDA 13.2, and the last torchaudio was not.
    assert outlook(H100, "2.15.0", "cpu", audio="2.11.0").build == ""


def test_amds_cards_on_windows_have_no_build():
    told = outlook(XTX, "2.8.0", "cpu", WINDOWS)
    assert told.card is None
    assert told.why == "PyTorch has no build for AMD gfx1100"


def test_a_card_whose_driver_does_not_answer():
    graphics = Graphics((Card("nvidia", ready=False),), trouble="nvidia-smi does not answer")
    told = outlook(graphics, "2.8.0", "cu128")
    assert told.uses is False
    assert told.why == "nvidia-smi does not answer"
    assert told.signs == {"gpu-no-driver": ("NVIDIA card: nvidia-smi does not answer",)}
    assert told.command == ""
    laptop = Graphics((Card("nvidia", ready=False), Card("intel", integrated=True)))
    assert {*outlook(laptop, "2.8.0", "cu128").signs} == {"gpu-no-driver", "gpu-two"}


def test_cards_that_a_variable_hides():
    for value, uses in (("-1", False), ("", False), ("0", True)):
        hidden = H100._replace(variables={"CUDA_VISIBLE_DEVICES": value})
        assert outlook(hidden, "2.8.0", "cu128").uses is uses
    hidden = H100._replace(variables={"CUDA_VISIBLE_DEVICES": "-1"})
    told = outlook(hidden, "2.8.0", "cpu")
    assert (told.why, told.command) == ("CUDA_VISIBLE_DEVICES=-1 hides it", "")
    other = H100._replace(variables={"HIP_VISIBLE_DEVICES": "-1"})
    assert outlook(other, "2.8.0", "cu128").uses is True


def test_a_driver_that_did_not_answer_is_told():
    silent = GTX_1060._replace(trouble="nvidia-smi does not answer")
    told = outlook(silent, "2.5.1", "cu124")
    assert (told.uses, told.why) == (None, "nvidia-smi does not answer")
    assert outlook(silent, "2.8.0", "cu128").sign == "gpu-no-kernels"


def test_versions_that_are_none():
    for torch in ("3", "nonsense", "2.9.1[bold]"):
        assert outlook(LAPTOP, torch, "cpu").uses is False


def test_a_card_that_is_too_small():
    small = Graphics((Card("nvidia", "NVIDIA GeForce GTX 1050", "sm_61", 2048),), {"nvidia": "535"})
    told = outlook(small, "2.5.1", "cu124")
    (seen,) = told.signs["gpu-small"]
    assert seen.startswith("NVIDIA GeForce GTX 1050 has 2.0 GiB; XTTS was measured to hold 1.9 GiB")


def test_amds_card_beside_the_graphics_of_its_processor():
    own = Card("amd", architecture="gfx1036", memory=512, integrated=True)
    both = Graphics((*XTX.cards, own))
    assert outlook(both, "2.8.0", "rocm6.4").signs == {
        "gpu-two": ("AMD gfx1100 beside AMD gfx1036 in the processor",)
    }


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("NVIDIA GeForce RTX 5080 Laptop GPU", "sm_120"),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "sm_120"),
        ("NVIDIA H100 80GB HBM3", "sm_90"),
        ("NVIDIA GH200 480GB", "sm_90"),
        ("NVIDIA GeForce RTX 4060 Laptop GPU", "sm_89"),
        ("NVIDIA RTX 6000 Ada Generation", "sm_89"),
        ("NVIDIA L4", "sm_89"),
        ("NVIDIA GeForce RTX 3090", "sm_86"),
        ("NVIDIA A10", "sm_86"),
        ("NVIDIA A100-SXM4-40GB", "sm_80"),
        ("Tesla T4", "sm_75"),
        ("NVIDIA GeForce GTX 1650", "sm_75"),
        ("Quadro RTX 4000", "sm_75"),
        ("Tesla V100-SXM2-16GB", "sm_70"),
        ("NVIDIA GeForce GTX 1080 Ti", "sm_61"),
        ("NVIDIA TITAN Xp", "sm_61"),
        ("Tesla P40", "sm_61"),
        ("Tesla P100-PCIE-16GB", "sm_60"),
        ("NVIDIA GeForce GTX TITAN X", "sm_52"),
        ("NVIDIA GeForce GTX 970", "sm_52"),
        ("NVIDIA GeForce GTX 750 Ti", "sm_50"),
        ("NVIDIA Something New", ""),
    ],
)
def test_the_architecture_of_a_card_that_only_its_name_tells(name, architecture):
    graphics = Graphics((Card("nvidia", name),), {"nvidia": "580.97"})
    told = outlook(graphics, "2.8.0", "cu126")
    assert told.card.architecture == architecture
    if not architecture:
        assert told.uses is None
        assert "is not known" in told.why


def test_a_build_that_nobody_knows():
    assert outlook(H100, "2.8.1", "").why == "nobody says what torch 2.8.1 was built for"
    assert outlook(H100, "3.0.0", "cu140").uses is None


def test_no_card_and_no_torch():
    nothing = outlook(Graphics(), "2.8.0", "cu128")
    assert (nothing.uses, nothing.build) == (None, "cpu")
    told = outlook(H100, "", audio="")
    assert (told.uses, told.why, told.command) == (None, "", "")


def test_macs():
    chip = Graphics((Card("apple", "Apple M2", integrated=True),))
    assert outlook(chip, "2.8.0", "", "macosx-arm64").uses is True
    assert outlook(chip, "", "", "macosx-arm64").uses is None
    assert outlook(chip, "2.2.2", "", "macosx-x86_64").why == "this Python is for Intel processors"
    assert outlook(Graphics(), "2.2.2", "", "macosx-x86_64").card is None
