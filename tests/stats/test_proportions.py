import itertools
import math

import numpy as np
import pytest
import scipy.stats

from jaxent.stats import proportions

NAN = math.nan


def outcomes(both, only_a, only_b, neither):
    """Bool outcomes of two conditions with these counts."""
    a = [True] * (both + only_a) + [False] * (only_b + neither)
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return np.array(a), np.array(b)


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(0, 1), (3, 3), (2, 9), (15, 4), (40, 21)]
)
def test_mcnemar_is_the_binomial_tail_by_enumeration(only_a, only_b):
    n = only_a + only_b
    mass = [math.comb(n, k) / 2**n for k in range(n + 1)]
    p = proportions.mcnemar_exact(only_a, only_b)
    assert p.greater == pytest.approx(sum(mass[only_a:]), rel=1e-12)
    assert p.less == pytest.approx(sum(mass[: only_a + 1]), rel=1e-12)
    assert p.two_sided == pytest.approx(min(1.0, 2 * min(p.greater, p.less)), rel=1e-12)
    mirrored = proportions.mcnemar_exact(only_b, only_a)
    assert (mirrored.two_sided, mirrored.less) == pytest.approx(
        (p.two_sided, p.greater)
    )


def test_mcnemar_without_discordant_pairs():
    assert proportions.mcnemar_exact(0, 0) == proportions.Tails(1.0, 1.0, 1.0)


def test_mcnemar_is_the_sign_flip_test_of_the_outcomes():
    a, b = outcomes(2, 5, 1, 1)
    d = a.astype(int) - b
    totals = [
        sum(s * v for s, v in zip(signs, d))
        for signs in itertools.product((1, -1), repeat=len(d))
    ]
    assert proportions.paired(a, b).p.two_sided == pytest.approx(
        np.mean(np.abs(totals) >= abs(d.sum()))
    )


@pytest.mark.parametrize(
    "counts", [(50, 29, 10, 75), (10, 5, 5, 10), (0, 3, 0, 27), (9, 0, 12, 3)]
)
def test_paired_counts_and_difference(counts):
    a, b = outcomes(*counts)
    found = proportions.paired(a, b)
    assert (
        found.both,
        found.only_a,
        found.only_b,
        found.neither,
    ) == counts and found.n == sum(counts)
    assert found.difference.estimate == pytest.approx(a.mean() - b.mean())
    assert found.difference.low <= found.difference.estimate <= found.difference.high
    order = np.random.default_rng(0).permutation(len(a))
    assert (
        proportions.paired(a[order], b[order]) == found
    )  # problems in any one order, and the seed is fixed


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("counts", [(50, 29, 10, 75), (70, 10, 12, 72)])
def test_paired_interval_is_the_bootstrap_of_resampled_problems(counts, level):
    a, b = outcomes(*counts)
    found = proportions.paired(a, b, level=level).difference
    rows = np.random.default_rng(1).integers(0, len(a), (10_000, len(a)))
    naive = np.quantile(
        (a.astype(float) - b)[rows].mean(1), [(1 - level) / 2, (1 + level) / 2]
    )
    assert (found.low, found.high) == pytest.approx(
        naive, abs=1.01 / len(a)
    )  # differences are multiples of 1 / n
    again = scipy.stats.bootstrap(
        (a, b),
        lambda x, y, axis: x.mean(axis) - y.mean(axis),
        paired=True,
        vectorized=True,
        confidence_level=level,
        method="percentile",
        n_resamples=10_000,
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx(again, abs=1.01 / len(a))


def test_paired_interval_covers():
    rng, truth, hits = np.random.default_rng(2), 0.18 - 0.08, 0
    for draw in range(300):
        only_a, only_b, rest = rng.multinomial(164, [0.18, 0.08, 0.74])
        found = proportions.paired(
            *outcomes(0, only_a, only_b, rest), resamples=1000, seed=draw
        ).difference
        hits += found.low <= truth <= found.high
    assert 0.92 < hits / 300 < 0.98


def test_pairing_narrows_the_interval_where_outcomes_agree():
    a, b = outcomes(60, 19, 0, 85)
    apart = proportions.newcombe(79, 164, 60, 164)
    together = proportions.paired(a, b).difference
    assert together.estimate == pytest.approx(apart.estimate)
    assert together.high - together.low < 0.5 * (apart.high - apart.low)


def test_paired_without_discordant_pairs_has_no_interval():
    found = proportions.paired(*outcomes(4, 0, 0, 6))
    assert (
        found.difference.estimate == 0
        and math.isnan(found.difference.low)
        and math.isnan(found.difference.high)
    )
    assert found.p.two_sided == 1


def test_z_of_the_published_counts():
    math_nl, creative = (
        proportions.two_proportion_z(79, 164, 60, 164),
        proportions.two_proportion_z(68, 164, 96, 164),
    )
    assert (
        round(math_nl.z, 2),
        round(math_nl.one_tailed, 3),
        round(math_nl.two_tailed, 3),
    ) == (2.12, 0.017, 0.034)
    assert (
        round(creative.z, 2),
        round(creative.one_tailed, 3),
        round(creative.two_tailed, 3),
    ) == (-3.09, 0.001, 0.002)


@pytest.mark.parametrize("counts", [(79, 164, 60, 164), (3, 20, 9, 31), (0, 5, 4, 7)])
def test_z_squared_is_pearsons_chi_squared(counts):
    k1, n1, k2, n2 = counts
    chi = scipy.stats.chi2_contingency([[k1, n1 - k1], [k2, n2 - k2]], correction=False)
    found = proportions.two_proportion_z(*counts)
    assert found.z**2 == pytest.approx(
        chi.statistic
    ) and found.two_tailed == pytest.approx(chi.pvalue)
    assert math.copysign(1, found.z) == math.copysign(1, k1 / n1 - k2 / n2)


def test_z_is_undefined_without_spread():
    assert math.isnan(proportions.two_proportion_z(0, 5, 0, 9).z) and math.isnan(
        proportions.two_proportion_z(5, 5, 9, 9).two_tailed
    )


@pytest.mark.parametrize(
    ("k", "n", "level"), [(0, 10, 0.95), (81, 148, 0.95), (17, 164, 0.9), (5, 5, 0.99)]
)
def test_wilson_ends_solve_the_score_equation(k, n, level):
    found, z = proportions.wilson(k, n, level), scipy.stats.norm.ppf((1 + level) / 2)
    for p in (found.low, found.high):
        assert abs(k / n - p) == pytest.approx(z * math.sqrt(p * (1 - p) / n), abs=1e-9)
    assert found.low <= found.estimate == k / n <= found.high


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((6, 7, 2, 7), 0.0582, 0.8062),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((10, 10, 0, 20), 0.6791, 1.0),
    ],
)
def test_newcombe_gives_his_published_examples(counts, low, high):
    found = proportions.newcombe(*counts)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    k1, n1, k2, n2 = counts
    mirrored = proportions.newcombe(k2, n2, k1, n1)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


def coverage(p1, p2, n, interval):
    """Exact coverage of an interval of p1 - p2, over all pairs of counts."""
    mass = np.outer(
        scipy.stats.binom.pmf(range(n + 1), n, p1),
        scipy.stats.binom.pmf(range(n + 1), n, p2),
    )
    hit = [
        [
            low <= p1 - p2 <= high
            for low, high in (interval(i, j, n) for j in range(n + 1))
        ]
        for i in range(n + 1)
    ]
    return float((mass * hit).sum())


def test_newcombe_covers_where_wald_does_not():
    def wald(i, j, n):
        half = 1.96 * math.sqrt(i * (n - i) / n**3 + j * (n - j) / n**3)
        return (i - j) / n - half, (i - j) / n + half

    def newcombe(i, j, n):
        found = proportions.newcombe(i, n, j, n)
        return found.low, found.high

    assert (
        coverage(0.02, 0.1, 20, newcombe) > 0.95
        and coverage(0.02, 0.1, 20, wald) < 0.89
    )
    assert 0.945 < coverage(0.1, 0.3, 20, newcombe) < 0.975


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [3, 5, 7])
def test_spearman_p_is_the_share_of_all_orders(n, ties):
    rng = np.random.default_rng(n)
    x, y = (
        rng.integers(0, 3, n).astype(float) if ties else rng.normal(size=n)
        for _ in range(2)
    )
    x[0], x[1], y[0], y[1] = 0, 1, 0, 1
    found = proportions.spearman(x, y)
    rank_x, rank_y = scipy.stats.rankdata(x), scipy.stats.rankdata(y)
    rho = np.array(
        [np.corrcoef(rank_x, order)[0, 1] for order in itertools.permutations(rank_y)]
    )
    assert found.exact and found.rho == pytest.approx(rho[0]) == pytest.approx(
        scipy.stats.spearmanr(x, y).statistic
    )
    assert found.p == pytest.approx(np.mean(np.abs(rho) >= abs(rho[0]) - 1e-12))


def test_spearman_of_a_longer_series_is_scipys():
    x, y = np.random.default_rng(0).normal(size=(2, 40))
    expected = scipy.stats.spearmanr(x, y)
    assert proportions.spearman(x, y) == proportions.RankCorrelation(
        expected.statistic, expected.pvalue, 40, False
    )


def test_spearman_of_eight_pairs_and_of_a_constant():
    assert proportions.spearman(range(8), range(8)).p == pytest.approx(
        2 / math.factorial(8)
    )
    found = proportions.spearman([1, 1, 1], [1, 2, 3])
    assert math.isnan(found.rho) and math.isnan(found.p)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: proportions.mcnemar_exact(-1, 2), "only_a is -1"),
        (lambda: proportions.mcnemar_exact(1, 2.0), r"only_b is 2\.0"),
        (lambda: proportions.mcnemar_exact(True, 2), "only_a is True"),
        (lambda: proportions.wilson(5, 4), "5 passes of 4 problems"),
        (lambda: proportions.newcombe(0, 0, 1, 2), "0 passes of 0 problems"),
        (lambda: proportions.two_proportion_z(1, 2, 3, 2), "3 passes of 2 problems"),
        (lambda: proportions.wilson(1, 4, 95), "level 95"),
        (lambda: proportions.paired([1, 0], [1, 1]), r"int64 \(2,\)"),
        (
            lambda: proportions.paired([True], [True, False]),
            r"bool \(1,\) and bool \(2,\)",
        ),
        (
            lambda: proportions.paired(np.zeros(0, bool), np.zeros(0, bool)),
            r"bool \(0,\)",
        ),
        (lambda: proportions.paired([True], [False], level=0), "level 0"),
        (lambda: proportions.spearman([1, 2], [1, 2]), r"ranks of \(2,\)"),
        (lambda: proportions.spearman([1, 2, NAN], [1, 2, 3]), "finite"),
    ],
)
def test_one_clear_error_each(call, message):
    with pytest.raises(ValueError, match=message):
        call()
