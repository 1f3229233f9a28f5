"""One encoding or decoding, in a process of its own: `python -m neuralcodec.bench.job`.

Takes a JSON `JobRequest` on standard input and writes a JSON `JobReport` to the path it names.
Sources come from and pictures go to Y4M files, for every codec alike; reading and writing them is
part of the time.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from neuralcodec import own_process
from neuralcodec.bench.settings import NCODEC, CodecSetting
from neuralcodec.errors import NcodecError


@dataclass(frozen=True)
class JobRequest:
    """What to do: encode `source` into `target`, or decode `source` into `target`."""

    verb: str  # encode or decode
    source: str
    target: str
    report: str
    name: str
    preset: str
    low_delay: bool
    quality: int
    gop: int
    bit_depth: int
    model: str  # of ncodec, as its device
    device: str

    @property
    def setting(self) -> CodecSetting:
        return CodecSetting(self.name, self.preset, self.low_delay)


@dataclass(frozen=True)
class JobReport:
    """What it came to; `error` says in one line why it failed."""

    frames: int = 0
    seconds: float = 0.0
    payload_bytes: int = 0  # of an encoding
    peak_memory: int | None = None  # bytes resident at most, the whole process
    error: str | None = None


def main() -> None:
    own_process.collect_less_garbage()  # as in `ncodec` itself
    own_process.wait_asleep()
    request = JobRequest(**json.loads(sys.stdin.read()))
    try:
        report = perform(request)
    except NcodecError as error:
        report = JobReport(error=str(error))
    Path(request.report).write_text(json.dumps(asdict(report)))


def perform(request: JobRequest) -> JobReport:
    """In this process. Raises NcodecError."""
    of_ncodec = request.name == NCODEC
    if request.verb == "encode":
        return _encode_ncodec(request) if of_ncodec else _encode_peer(request)
    return _decode_ncodec(request) if of_ncodec else _decode_peer(request)


def _encode_ncodec(request: JobRequest) -> JobReport:
    import neuralcodec

    preset = {"preset": request.preset} if request.preset else {}
    done = neuralcodec.encode(
        request.source,
        request.target,
        quality=request.quality,
        gop=request.gop,
        low_delay=request.low_delay,
        model=request.model,
        device=request.device,
        **preset,  # type: ignore[arg-type]
    )
    payload = gop_payload_bytes(Path(request.target))
    return JobReport(done.frames, done.seconds, payload, peak_memory())


def _decode_ncodec(request: JobRequest) -> JobReport:
    import neuralcodec

    model = request.model if request.model.endswith(".safetensors") else None
    done = neuralcodec.decode(request.source, request.target, model=model, device=request.device)
    return JobReport(done.frames, done.seconds, peak_memory=peak_memory())


def _encode_peer(request: JobRequest) -> JobReport:
    from neuralcodec.bench.peer_files import encode_to_file
    from neuralcodec.media import VideoReader

    begin = time.perf_counter()
    with VideoReader(request.source) as reader:
        done = encode_to_file(
            reader,
            reader.format,
            Path(request.target),
            request.setting,
            quality=request.quality,
            gop=request.gop,
        )
    seconds = time.perf_counter() - begin
    return JobReport(done.frames, seconds, done.payload_bytes, peak_memory())


def _decode_peer(request: JobRequest) -> JobReport:
    from neuralcodec.bench.clips import write_y4m
    from neuralcodec.bench.peer_files import decode_file

    begin = time.perf_counter()
    frames = decode_file(Path(request.source), request.setting, request.bit_depth)
    count = write_y4m(frames, Path(request.target))
    return JobReport(count, time.perf_counter() - begin, peak_memory=peak_memory())


def gop_payload_bytes(path: Path) -> int:
    """Bytes of the GOPs in an .nlc file, without their chunks' heads and checksums."""
    from neuralcodec.container import layout
    from neuralcodec.container.chunks import ChunkStream, ForwardBuffer

    with path.open("rb") as file:
        buffer = ForwardBuffer(file)
        buffer.fill(_FIRST_CHUNK)
        buffer.skip(_FIRST_CHUNK)
        chunks = iter(ChunkStream(buffer).read, None)
        return sum(len(chunk.payload) for chunk in chunks if chunk.type == layout.GOPS)


_FIRST_CHUNK = 12  # its offset in an .nlc file: after the signature and the version


def peak_memory() -> int | None:
    """Most bytes that this process had resident; None where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would count what the parent had when it made this process
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
