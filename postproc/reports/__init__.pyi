from .report import AccuracyReport as AccuracyReport
from .report import accuracy_report as accuracy_report
