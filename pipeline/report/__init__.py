"""A backtest as one page that a stranger understands."""

from pipeline.report.page import write_report

__all__ = ["write_report"]
