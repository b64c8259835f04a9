"""The reader of wheels, on a wheel of our own behind a server with byte ranges."""

import http.server
import threading
import zipfile

import pytest

from gpu import architectures

LIBRARY = (
    b"\x7fELF" + b"\1" * 200_000 + b"std::string ipc_hsm_70 sm_75 compute_120\0" + b"\2" * 9999
)


@pytest.fixture
def server(tmp_path):
    """Serve a folder by ranges, and count the bytes that are asked for."""
    sent = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            data = (tmp_path / self.path.strip("/")).read_bytes()
            first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
            sent.append(last - first + 1)
            self.send_response(206)
            self.send_header("Content-Length", str(last - first + 1))
            self.end_headers()
            self.wfile.write(data[first : last + 1])

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}", sent
        serving.shutdown()


def make_wheel(folder, version_py, library=LIBRARY):
    path = folder / "torch.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("torch/lib/libtorch_cuda.so", bytes(20_000_000))
        wheel.writestr("torch/version.py", version_py)
        if library:
            info = zipfile.ZipInfo(architectures.LIBRARY)
            wheel.writestr(info, library, zipfile.ZIP_DEFLATED)
    return path.stat().st_size


def test_two_files_of_a_wheel_tell_what_it_is(server, tmp_path):
    address, sent = server
    size = make_wheel(tmp_path, "__version__ = '2.8.0+cu128'\ncuda: Optional[str] = '12.8'\n")
    wheel = architectures.read("torch", "2.8.0", "linux-x86_64", (f"{address}/torch.whl", size))
    assert wheel == ("torch", "linux-x86_64", "cu128", "sm_70 sm_75 compute_120")
    assert sum(sent) < size / 2


def test_a_wheel_for_the_cpu_needs_no_library(server, tmp_path):
    address, _ = server
    size = make_wheel(tmp_path, "__version__ = '2.8.0+cpu'\ncuda = None\n", library=b"")
    wheel = architectures.read("torch", "2.8.0", "win-amd64", (f"{address}/torch.whl", size))
    assert wheel == ("torch", "win-amd64", "cpu", "")


@pytest.mark.parametrize(
    ("version_py", "library"),
    [
        ("__version__ = '2.8.0'\ncuda: Optional[str] = '12.8'\n", LIBRARY),
        ("__version__ = '2.8.0+cu128'\ncuda = '12.8'\n", b"\1" * 1000),
        ("__version__ = '2.8.0+cu128'\ncuda = '12.8'\n", LIBRARY + b"sm_80 sm_90\0"),
    ],
)
def test_what_is_not_understood_is_an_error(server, tmp_path, version_py, library):
    address, _ = server
    size = make_wheel(tmp_path, version_py, library)
    with pytest.raises(ValueError, match=r"says so nowhere|unpack"):
        architectures.read("torch", "2.8.0", "linux-x86_64", (f"{address}/torch.whl", size))


def test_what_is_alike_is_written_once():
    wheel = architectures.Wheel("torch", "linux-x86_64", "cu128", "sm_70 sm_75")
    other = architectures.Wheel("torch", "linux-x86_64", "cpu", "")
    text = architectures.written({wheel: ["2.10.0", "2.9.1"], other: ["2.0.0"]})
    assert text == (
        '[[wheel]]\ndistribution = "torch"\nplatform = "linux-x86_64"\nbuild = "cpu"\n'
        'versions = "2.0.0"\n\n'
        '[[wheel]]\ndistribution = "torch"\nplatform = "linux-x86_64"\nbuild = "cu128"\n'
        'architectures = "sm_70 sm_75"\nversions = "2.9.1 2.10.0"\n'
    )
