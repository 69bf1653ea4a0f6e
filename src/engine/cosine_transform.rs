//! The fast cosine transform of 16 lines at once, one in each lane of a vector.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use super::simd::{Isa, Job, LANES, Simd};

/// Lines of fewer values are transformed by matrix products.
const MIN_SPLIT: usize = 8;

/// Rows of a matrix product that are computed at once.
const ROWS: usize = 4;

/// The orthonormal cosine transform (DCT-II) of lines of `n` values, and its inverse.
///
/// A line of an even number of values is split into two of half the length, by sums and differences of values at mirrored places: one has
/// the even frequencies, by the same transform, the other the odd ones, by a DCT-IV. That splits again, by rotations, into two of the
/// first kind. All factors are orthogonal, so that rounding errors do not grow (Plonka & Tasche, 2005, Linear Algebra and its
/// Applications 394). A line that cannot be split is multiplied with a matrix.
pub(crate) struct CosineTransform {
    /// The line, its half, the half of that and so on.
    levels: Vec<Level>,
    isa: Isa,
}

/// The transform of lines of `n` values at one level.
struct Level {
    n: usize,
    method: Method,
}

enum Method {
    /// For the DCT-IV, the factors of each rotation: of the two values in the first result, and in the second.
    Split(Vec<[[f32; 2]; 2]>),
    /// Matrices in rows: the even and the odd frequencies of a DCT-II, from sums and from differences; the DCT-IV.
    Matrices { even: Vec<f32>, odd: Vec<f32>, four: Vec<f32> },
}

/// The kinds of transforms that a line is split into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The DCT-II.
    Two,
    /// Its inverse, the DCT-III.
    Three,
    /// The DCT-IV, its own inverse.
    Four,
}

impl CosineTransform {
    /// # Panics
    /// If `n` is 0.
    pub fn new(n: usize) -> Self {
        assert!(n > 0, "a line has values");
        let mut levels = vec![Level::new(n)];
        while let Some(Level { n, method: Method::Split(_) }) = levels.last() {
            levels.push(Level::new(n / 2));
        }
        // A synthesis reports an invalid selection before it makes a transform.
        Self { levels, isa: Isa::selected().unwrap_or_else(|_| Isa::best()) }
    }

    /// The longest part of lines of `n` values that is multiplied with a matrix.
    pub fn matrix_size(n: usize) -> usize {
        if Level::splits(n) { Self::matrix_size(n / 2) } else { n }
    }

    /// Transforms values `[n][16 lines]` in place; `scratch` has as many.
    pub fn forward(&self, values: &mut [f32], scratch: &mut [f32]) {
        self.run(Kind::Two, values, scratch);
    }

    /// The inverse (and transpose) of [`CosineTransform::forward`].
    pub fn backward(&self, values: &mut [f32], scratch: &mut [f32]) {
        self.run(Kind::Three, values, scratch);
    }

    fn run(&self, kind: Kind, values: &mut [f32], scratch: &mut [f32]) {
        let length = self.levels[0].n * LANES;
        assert!(values.len() == length && scratch.len() == length, "the lines have another length");
        // SAFETY: `selected` and `best` are instruction sets of this processor, and both slices have `n` vectors.
        unsafe { self.isa.run(Transform { levels: &self.levels, kind, values, scratch }) }
    }
}

impl Level {
    fn splits(n: usize) -> bool {
        n >= MIN_SPLIT && n.is_multiple_of(2)
    }

    fn new(n: usize) -> Self {
        if Self::splits(n) {
            let angle = |j: usize| PI * (2 * j + 1) as f64 / (4 * n) as f64;
            let rotation = |j: usize| {
                let ([cosine, sine], sign) = ([angle(j).cos() as f32, angle(j).sin() as f32], [1.0, -1.0][j % 2]);
                [[cosine, sine], [-sign * sine, sign * cosine]]
            };
            return Self { n, method: Method::Split((0..n / 2).map(rotation).collect()) };
        }
        let two = |k: usize, j: usize| {
            let scale = (2.0 / n as f64).sqrt() * if k == 0 { FRAC_1_SQRT_2 } else { 1.0 };
            (scale * (PI * (2 * j + 1) as f64 * k as f64 / (2 * n) as f64).cos()) as f32
        };
        let four = |k: usize, j: usize| {
            ((2.0 / n as f64).sqrt() * (PI * ((2 * j + 1) * (2 * k + 1)) as f64 / (4 * n) as f64).cos()) as f32
        };
        let rows = |n: usize, value: &dyn Fn(usize, usize) -> f32| (0..n * n).map(|i| value(i / n, i % n)).collect();
        let method = Method::Matrices {
            even: rows(n.div_ceil(2), &|k, j| two(2 * k, j)),
            odd: rows(n / 2, &|k, j| two(2 * k + 1, j)),
            four: rows(n, &four),
        };
        Self { n, method }
    }
}

/// A transform of the line of the first level.
struct Transform<'a> {
    levels: &'a [Level],
    kind: Kind,
    values: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl Job for Transform<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { levels: [level, rest @ ..], kind, values, scratch } = self else { return };
        if let ([half], Method::Split(rotations)) = (rest, &level.method) {
            // SAFETY: the caller's contract; `values` has twice as many vectors as the half.
            unsafe {
                match half.n {
                    4 => return of_two_halves::<S, 4>(half, rotations, kind, values),
                    5 => return of_two_halves::<S, 5>(half, rotations, kind, values),
                    6 => return of_two_halves::<S, 6>(half, rotations, kind, values),
                    7 => return of_two_halves::<S, 7>(half, rotations, kind, values),
                    _ => {}
                }
            }
        }
        // SAFETY: the caller's contract; both slices have `level.n` vectors.
        unsafe {
            match (&level.method, kind) {
                (Method::Matrices { even, odd, .. }, Kind::Two) => two_by_matrices::<S>([even, odd], values, scratch),
                (Method::Matrices { even, odd, .. }, Kind::Three) => {
                    three_by_matrices::<S>([even, odd], values, scratch)
                }
                (Method::Matrices { four, .. }, Kind::Four) => {
                    scratch.copy_from_slice(values);
                    multiply::<S>((four, [level.n, 1]), level.n, (scratch, 1), (values, 1));
                }
                (Method::Split(_), Kind::Two) => two::<S>(rest, values, scratch),
                (Method::Split(_), Kind::Three) => three::<S>(rest, values, scratch),
                (Method::Split(rotations), Kind::Four) => four::<S>(rest, rotations, values, scratch),
            }
        }
    }
}

/// Vector `i`.
#[inline(always)]
unsafe fn load<S: Simd>(values: &[f32], i: usize) -> S::V {
    debug_assert!((i + 1) * LANES <= values.len());
    // SAFETY: the caller's contract.
    unsafe { S::load(values.as_ptr().add(i * LANES)) }
}

#[inline(always)]
unsafe fn store<S: Simd>(values: &mut [f32], i: usize, v: S::V) {
    debug_assert!((i + 1) * LANES <= values.len());
    // SAFETY: the caller's contract.
    unsafe { S::store(values.as_mut_ptr().add(i * LANES), v) }
}

#[inline(always)]
unsafe fn difference<S: Simd>(a: S::V, b: S::V) -> S::V {
    // SAFETY: the caller's contract.
    unsafe { S::mul_add(b, S::splat(-1.0), a) }
}

/// Runs both halves, each with the other slice's half as scratch.
#[inline(always)]
unsafe fn halves<S: Simd>(levels: &[Level], kinds: [Kind; 2], values: &mut [f32], scratch: &mut [f32]) {
    let middle = values.len() / 2;
    let ((first, second), (free, also_free)) = (values.split_at_mut(middle), scratch.split_at_mut(middle));
    // SAFETY: the caller's contract.
    unsafe {
        S::run_outlined(Transform { levels, kind: kinds[0], values: first, scratch: free });
        S::run_outlined(Transform { levels, kind: kinds[1], values: second, scratch: also_free });
    }
}

#[inline(always)]
unsafe fn two<S: Simd>(levels: &[Level], x: &mut [f32], t: &mut [f32]) {
    let n = x.len() / LANES;
    let half = n / 2;
    // SAFETY: the caller's contract; all indices are below n.
    unsafe {
        let scale = S::splat(FRAC_1_SQRT_2 as f32);
        for j in 0..half {
            let (a, b) = (load::<S>(x, j), load::<S>(x, n - 1 - j));
            store::<S>(t, j, S::mul(scale, S::add(a, b)));
            store::<S>(t, half + j, S::mul(scale, difference::<S>(a, b)));
        }
        halves::<S>(levels, [Kind::Two, Kind::Four], t, x);
        for k in 0..half {
            store::<S>(x, 2 * k, load::<S>(t, k));
            store::<S>(x, 2 * k + 1, load::<S>(t, half + k));
        }
    }
}

#[inline(always)]
unsafe fn three<S: Simd>(levels: &[Level], x: &mut [f32], t: &mut [f32]) {
    let n = x.len() / LANES;
    let half = n / 2;
    // SAFETY: the caller's contract; all indices are below n.
    unsafe {
        for k in 0..half {
            store::<S>(t, k, load::<S>(x, 2 * k));
            store::<S>(t, half + k, load::<S>(x, 2 * k + 1));
        }
        halves::<S>(levels, [Kind::Three, Kind::Four], t, x);
        let scale = S::splat(FRAC_1_SQRT_2 as f32);
        for j in 0..half {
            let (sum, diff) = (load::<S>(t, j), load::<S>(t, half + j));
            store::<S>(x, j, S::mul(scale, S::add(sum, diff)));
            store::<S>(x, n - 1 - j, S::mul(scale, difference::<S>(sum, diff)));
        }
    }
}

/// With the rotated values `a` and `b` of a line of `n = 2m`, `X[2l]` is proportional to `A[l] + B[l]` and `X[2l - 1]` to `A[l] - B[l]`, where
/// `A` is the DCT-II of `a`, and `B[m - l]` that of `b` with alternating signs.
#[inline(always)]
unsafe fn four<S: Simd>(levels: &[Level], rotations: &[[[f32; 2]; 2]], x: &mut [f32], t: &mut [f32]) {
    let n = x.len() / LANES;
    let half = n / 2;
    // SAFETY: the caller's contract; all indices are below n.
    unsafe {
        for (j, &rotation) in rotations.iter().enumerate() {
            let [first, second] = rotated::<S>(rotation, [load::<S>(x, j), load::<S>(x, n - 1 - j)]);
            store::<S>(t, j, first);
            store::<S>(t, half + j, second);
        }
        halves::<S>(levels, [Kind::Two, Kind::Two], t, x);
        let scale = S::splat(FRAC_1_SQRT_2 as f32);
        store::<S>(x, 0, load::<S>(t, 0));
        for k in 1..half {
            let (a, b) = (load::<S>(t, k), load::<S>(t, n - k));
            store::<S>(x, 2 * k - 1, S::mul(scale, difference::<S>(a, b)));
            store::<S>(x, 2 * k, S::mul(scale, S::add(a, b)));
        }
        store::<S>(x, n - 1, S::mul(load::<S>(t, half), S::splat(-1.0)));
    }
}

/// Values at mirrored places of a DCT-IV, rotated.
#[inline(always)]
unsafe fn rotated<S: Simd>([first, second]: [[f32; 2]; 2], [a, b]: [S::V; 2]) -> [S::V; 2] {
    // SAFETY: the caller's contract.
    unsafe {
        [
            S::mul_add(a, S::splat(first[0]), S::mul(b, S::splat(first[1]))),
            S::mul_add(b, S::splat(second[1]), S::mul(a, S::splat(second[0]))),
        ]
    }
}

/// A line of twice `H` values whose halves are multiplied with matrices, in registers.
#[inline(always)]
unsafe fn of_two_halves<S: Simd, const H: usize>(
    level: &Level,
    rotations: &[[[f32; 2]; 2]],
    kind: Kind,
    x: &mut [f32],
) {
    let Method::Matrices { even, odd, four } = &level.method else { return };
    // SAFETY: the caller's contract; all indices are below 2 H.
    unsafe {
        let scale = S::splat(FRAC_1_SQRT_2 as f32);
        let (mut a, mut b) = ([S::splat(0.0); H], [S::splat(0.0); H]);
        for j in 0..H {
            [a[j], b[j]] = match kind {
                Kind::Two => {
                    let (first, last) = (load::<S>(x, j), load::<S>(x, 2 * H - 1 - j));
                    [S::mul(scale, S::add(first, last)), S::mul(scale, difference::<S>(first, last))]
                }
                Kind::Three => [load::<S>(x, 2 * j), load::<S>(x, 2 * j + 1)],
                Kind::Four => rotated::<S>(rotations[j], [load::<S>(x, j), load::<S>(x, 2 * H - 1 - j)]),
            };
        }
        let matrices = [&even[..], odd];
        match kind {
            Kind::Two => {
                let (a, b) = (two_in_registers::<S, H>(matrices, a), product::<S, H>(four, b));
                for k in 0..H {
                    store::<S>(x, 2 * k, a[k]);
                    store::<S>(x, 2 * k + 1, b[k]);
                }
            }
            Kind::Three => {
                let (a, b) = (three_in_registers::<S, H>(matrices, a), product::<S, H>(four, b));
                for j in 0..H {
                    store::<S>(x, j, S::mul(scale, S::add(a[j], b[j])));
                    store::<S>(x, 2 * H - 1 - j, S::mul(scale, difference::<S>(a[j], b[j])));
                }
            }
            Kind::Four => {
                let (a, b) = (two_in_registers::<S, H>(matrices, a), two_in_registers::<S, H>(matrices, b));
                store::<S>(x, 0, a[0]);
                for k in 1..H {
                    store::<S>(x, 2 * k - 1, S::mul(scale, difference::<S>(a[k], b[H - k])));
                    store::<S>(x, 2 * k, S::mul(scale, S::add(a[k], b[H - k])));
                }
                store::<S>(x, 2 * H - 1, S::mul(b[0], S::splat(-1.0)));
            }
        }
    }
}

/// The DCT-II by its matrices of even and odd frequencies.
#[inline(always)]
unsafe fn two_in_registers<S: Simd, const H: usize>([even, odd]: [&[f32]; 2], x: [S::V; H]) -> [S::V; H] {
    let (half, rest) = (H / 2, H - H / 2);
    // SAFETY: the caller's contract.
    unsafe {
        let mut result = [S::splat(0.0); H];
        for k in 0..rest {
            for j in 0..rest {
                let sum = if j < half { S::add(x[j], x[H - 1 - j]) } else { x[j] };
                result[2 * k] = S::mul_add(S::splat(even[k * rest + j]), sum, result[2 * k]);
            }
        }
        for k in 0..half {
            for j in 0..half {
                let difference = difference::<S>(x[j], x[H - 1 - j]);
                result[2 * k + 1] = S::mul_add(S::splat(odd[k * half + j]), difference, result[2 * k + 1]);
            }
        }
        result
    }
}

/// The inverse of [`two_in_registers`].
#[inline(always)]
unsafe fn three_in_registers<S: Simd, const H: usize>([even, odd]: [&[f32]; 2], x: [S::V; H]) -> [S::V; H] {
    let (half, rest) = (H / 2, H - H / 2);
    // SAFETY: the caller's contract.
    unsafe {
        let mut result = [S::splat(0.0); H];
        for j in 0..rest {
            let (mut sum, mut diff) = (S::splat(0.0), S::splat(0.0));
            for k in 0..rest {
                sum = S::mul_add(S::splat(even[k * rest + j]), x[2 * k], sum);
            }
            if j == half {
                result[j] = sum;
                continue;
            }
            for k in 0..half {
                diff = S::mul_add(S::splat(odd[k * half + j]), x[2 * k + 1], diff);
            }
            (result[j], result[H - 1 - j]) = (S::add(sum, diff), difference::<S>(sum, diff));
        }
        result
    }
}

/// The product of a matrix in rows with `H` vectors.
#[inline(always)]
unsafe fn product<S: Simd, const H: usize>(matrix: &[f32], x: [S::V; H]) -> [S::V; H] {
    // SAFETY: the caller's contract.
    unsafe {
        let mut result = [S::splat(0.0); H];
        for k in 0..H {
            for j in 0..H {
                result[k] = S::mul_add(S::splat(matrix[k * H + j]), x[j], result[k]);
            }
        }
        result
    }
}

#[inline(always)]
unsafe fn two_by_matrices<S: Simd>([even, odd]: [&[f32]; 2], x: &mut [f32], t: &mut [f32]) {
    let n = x.len() / LANES;
    let half = n / 2;
    // SAFETY: the caller's contract; all indices are below n.
    unsafe {
        for j in 0..half {
            let (a, b) = (load::<S>(x, j), load::<S>(x, n - 1 - j));
            store::<S>(t, j, S::add(a, b));
            store::<S>(t, n - half + j, difference::<S>(a, b));
        }
        if n > 2 * half {
            store::<S>(t, half, load::<S>(x, half));
        }
        let (sums, differences) = t.split_at(LANES * (n - half));
        multiply::<S>((even, [n - half, 1]), n - half, (sums, 1), (&mut *x, 2));
        if half > 0 {
            multiply::<S>((odd, [half, 1]), half, (differences, 1), (&mut x[LANES..], 2));
        }
    }
}

#[inline(always)]
unsafe fn three_by_matrices<S: Simd>([even, odd]: [&[f32]; 2], x: &mut [f32], t: &mut [f32]) {
    let n = x.len() / LANES;
    let half = n / 2;
    // SAFETY: the caller's contract; all indices are below n.
    unsafe {
        let (sums, differences) = t.split_at_mut(LANES * (n - half));
        multiply::<S>((even, [1, n - half]), n - half, (&*x, 2), (sums, 1));
        if half > 0 {
            multiply::<S>((odd, [1, half]), half, (&x[LANES..], 2), (differences, 1));
        }
        for j in 0..half {
            let (sum, diff) = (load::<S>(sums, j), load::<S>(differences, j));
            store::<S>(x, j, S::add(sum, diff));
            store::<S>(x, n - 1 - j, difference::<S>(sum, diff));
        }
        if n > 2 * half {
            store::<S>(x, half, load::<S>(sums, half));
        }
    }
}

/// Multiplies `n` vectors with a square matrix, whose rows and columns are so many values apart; vectors are `stride` vectors apart.
#[inline(always)]
unsafe fn multiply<S: Simd>(
    (matrix, [row, column]): (&[f32], [usize; 2]),
    n: usize,
    (from, from_stride): (&[f32], usize),
    (to, to_stride): (&mut [f32], usize),
) {
    debug_assert_eq!(matrix.len(), n * n);
    let whole = n / ROWS * ROWS;
    // SAFETY: the caller's contract; all indices are below n.
    unsafe {
        for k in (0..whole).step_by(ROWS) {
            multiply_rows::<S, ROWS>((matrix, [row, column]), (n, k), (from, from_stride), (to, to_stride));
        }
        for k in whole..n {
            multiply_rows::<S, 1>((matrix, [row, column]), (n, k), (from, from_stride), (to, to_stride));
        }
    }
}

/// `R` rows of the product, from row `first` on: their sums do not wait for each other.
#[inline(always)]
unsafe fn multiply_rows<S: Simd, const R: usize>(
    (matrix, [row, column]): (&[f32], [usize; 2]),
    (n, first): (usize, usize),
    (from, from_stride): (&[f32], usize),
    (to, to_stride): (&mut [f32], usize),
) {
    // SAFETY: the caller's contract; all indices are below n.
    unsafe {
        let mut sums = [S::splat(0.0); R];
        for j in 0..n {
            let value = load::<S>(from, j * from_stride);
            for (i, sum) in sums.iter_mut().enumerate() {
                let factor = S::splat(*matrix.get_unchecked((first + i) * row + j * column));
                *sum = S::mul_add(factor, value, *sum);
            }
        }
        for (i, sum) in sums.into_iter().enumerate() {
            store::<S>(to, (first + i) * to_stride, sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values `[n][16]`, which differ in all lanes.
    fn lines(n: usize) -> Vec<f32> {
        (0..n * LANES).map(|i| ((i * 37 + i / 5) % 101) as f32 / 101.0 - 0.4).collect()
    }

    fn expected(kind: Kind, n: usize, values: &[f32]) -> Vec<f64> {
        let basis = |k: usize, j: usize| {
            let (scale, angle) = ((2.0 / n as f64).sqrt(), PI * (2 * j + 1) as f64 / (4 * n) as f64);
            match kind {
                Kind::Four => scale * (angle * (2 * k + 1) as f64).cos(),
                _ => scale * if k == 0 { FRAC_1_SQRT_2 } else { (angle * 2.0 * k as f64).cos() },
            }
        };
        let value = |i: usize| -> f64 {
            let (k, lane) = (i / LANES, i % LANES);
            let product = |j: usize| {
                let basis = if kind == Kind::Three { basis(j, k) } else { basis(k, j) };
                basis * f64::from(values[j * LANES + lane])
            };
            (0..n).map(product).sum()
        };
        (0..n * LANES).map(value).collect()
    }

    #[test]
    fn transforms_are_sums_of_cosines_on_every_instruction_set() {
        for n in [1, 2, 3, 7, 8, 10, 12, 14, 15, 16, 30, 56, 64, 97, 224, 240] {
            for isa in Isa::available() {
                let transform = CosineTransform { isa, ..CosineTransform::new(n) };
                for kind in [Kind::Two, Kind::Three, Kind::Four] {
                    let (mut values, mut scratch) = (lines(n), vec![0.0; n * LANES]);
                    let expected = expected(kind, n, &values);
                    transform.run(kind, &mut values, &mut scratch);
                    let errors = values.iter().zip(&expected).map(|(&a, b)| (f64::from(a) - b).abs());
                    // NaN is the largest in this order.
                    let error = errors.max_by(f64::total_cmp).unwrap();
                    assert!(error < 2e-6, "{kind:?} of {n} values, {isa}: {error}");
                }
            }
        }
    }

    #[test]
    fn matrices_are_for_what_cannot_be_split() {
        let sizes = [1, 7, 8, 224, 227, 256, 299, 1000].map(CosineTransform::matrix_size);
        assert_eq!(sizes, [1, 7, 4, 7, 227, 4, 299, 125]);
    }
}
