"""Prints the repeated-measures F and the permutation p that src/experiment/analysis/tests.rs quotes.

F comes from statsmodels' AnovaRM; p is exact, over all permutations within participants, from scipy's permutation_test
with permutation_type="samples" and a direct computation of F.

    pip install numpy scipy pandas statsmodels
    python scripts/reference/stage_effect.py
"""

import numpy as np
import pandas
import scipy
import statsmodels
from scipy.stats import permutation_test
from statsmodels.stats.anova import AnovaRM

CASES = {
    # Rows are participants, columns conditions.
    "clear": [[0.90, 0.62, 0.11], [0.80, 0.71, 0.24], [1.00, 0.50, 0.05], [0.85, 0.45, 0.30]],
    "weak": [
        [0.50, 0.40, 0.55, 0.45],
        [0.30, 0.35, 0.25, 0.30],
        [0.60, 0.50, 0.70, 0.55],
        [0.45, 0.50, 0.40, 0.35],
        [0.20, 0.30, 0.45, 0.10],
    ],
    "none": [[0.25, 0.7, 0.4], [0.6, 0.1, 0.5], [0.4, 0.35, 0.6], [0.5, 0.6, 0.2]],
}


def f_statistic(*conditions: np.ndarray, axis: int = -1) -> np.ndarray:
    """Computes F; `axis` is the axis of the participants, since permutation_test adds axes of its own."""
    x = np.stack(conditions)
    participants = x.shape[axis]
    k = len(conditions)
    grand = x.mean(axis=(0, axis), keepdims=True)
    condition = x.mean(axis=axis, keepdims=True)
    person = x.mean(axis=0, keepdims=True)
    between = participants * ((condition - grand) ** 2).sum(axis=(0, axis)) / (k - 1)
    error = ((x - condition - person + grand) ** 2).sum(axis=(0, axis)) / ((k - 1) * (participants - 1))
    return between / error


def main() -> None:
    print(
        f"numpy {np.__version__}, scipy {scipy.__version__}, pandas {pandas.__version__}, "
        f"statsmodels {statsmodels.__version__}"
    )
    for name, rows in CASES.items():
        scores = np.array(rows)
        long = [(person, condition, value) for person, row in enumerate(rows) for condition, value in enumerate(row)]
        table = (
            AnovaRM(pandas.DataFrame(long, columns=["person", "condition", "value"]), "value", "person", ["condition"])
            .fit()
            .anova_table
        )
        row = table.iloc[0]
        exact = permutation_test(
            tuple(scores.T),
            f_statistic,
            permutation_type="samples",
            alternative="greater",
            n_resamples=np.inf,
            vectorized=True,
            axis=-1,
        )
        count = len(exact.null_distribution)
        print(
            f"{name}: F({row['Num DF']:.0f}, {row['Den DF']:.0f}) = {row['F Value']:.15g}, "
            f"direct F {exact.statistic:.15g}, exact p {exact.pvalue:.15g} of {count}"
        )


if __name__ == "__main__":
    main()
