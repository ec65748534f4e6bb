from .report import AccuracyReport, accuracy_report

__all__ = [
    "AccuracyReport",
    "accuracy_report",
]
