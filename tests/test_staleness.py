"""Laws of compiled kernels that are kept between runs."""

from pathlib import Path

from pipeline.kernels.staleness import forget_stale


def test_kernels_are_forgotten_when_any_file_beside_them_changed(tmp_path: Path) -> None:
    source, other = tmp_path / "caller.py", tmp_path / "called.py"
    source.write_text("a = 1")
    other.write_text("b = 1")
    forget_stale(tmp_path)
    compiled = [tmp_path / "__pycache__" / f"caller.kernel.{ending}" for ending in ("nbi", "nbc")]
    for file in compiled:
        file.write_text("machine code")
    forget_stale(tmp_path)
    assert all(file.exists() for file in compiled)
    other.write_text("b = 2")
    forget_stale(tmp_path)
    assert not any(file.exists() for file in compiled)
