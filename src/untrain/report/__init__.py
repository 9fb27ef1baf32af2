"""Results to tables, figures and one self-contained HTML page. No torch here."""

from untrain.report.html import write_report as write_report
from untrain.report.mislabel import Grid as Grid
from untrain.report.mislabel import mislabel_grids as mislabel_grids
from untrain.report.mislabel import mislabel_verdict as mislabel_verdict
from untrain.report.results import ComparisonResults as ComparisonResults
from untrain.report.results import MislabelResults as MislabelResults
from untrain.report.results import Results as Results
from untrain.report.results import read_results as read_results
from untrain.report.table import Column as Column
from untrain.report.table import columns as columns
from untrain.report.table import groups as groups
from untrain.report.table import is_contender as is_contender
from untrain.report.table import verdict as verdict
