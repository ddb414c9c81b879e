"""What measures each of the paper's tables."""

from collections.abc import Callable, Mapping

from jaxent.report import coding_values, crosstalk_values, match
from jaxent.report import values as table_values

SOURCES: Mapping[str, Callable[[match.ResultSet], table_values.Rows]] = {
    "T1": crosstalk_values.condition_rows,
    "T2": table_values.group_rows,
    "T3": table_values.run_rows,
    "T4": table_values.group_step_rows,
    "T5": table_values.group_rows,
    "T6": table_values.run_rows,
    "T7": table_values.base_rows,
    "T8": crosstalk_values.crosstalk_rows,
    "T9": coding_values.coding_rows,
    "T10": coding_values.coding_rows,
    "T11": table_values.run_rows,
    "T12": table_values.run_step_rows,
    "T13": table_values.run_step_rows,
    "T14": table_values.reversal_rows,
}
"""By table id, the function that gives its measured rows."""
