//! The Lanczos method with full reorthogonalization.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::engine::vectors::{Spare, add_all, dot, scaled};

/// The norm of a new vector relative to the largest so far, below which the Krylov space is exhausted: rounding in single precision.
const EXHAUSTED: f64 = 1e-6;

/// The Krylov space of a symmetric matrix, of which only products with vectors are known.
///
/// Each new vector is made orthogonal to all earlier ones, twice, because rounding would otherwise bring back directions that have
/// converged.
pub struct Lanczos {
    vectors: Vec<Vec<f32>>,
    /// The diagonal of the tridiagonal matrix.
    alphas: Vec<f64>,
    /// Its off-diagonal, and the norm of the residual.
    betas: Vec<f64>,
}

/// An eigenvalue of the tridiagonal matrix, with its eigenvector.
pub struct RitzPair {
    pub value: f64,
    pub residual: f64,
    /// The squared first component of the eigenvector: a quadrature weight.
    pub weight: f64,
    components: Vec<f64>,
}

impl Lanczos {
    /// Starts from a random vector of signs.
    pub fn new(size: usize, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let value = 1.0 / (size as f32).sqrt();
        let first = (0..size).map(|_| if random.random::<bool>() { value } else { -value }).collect();
        Self { vectors: vec![first], alphas: vec![], betas: vec![] }
    }

    /// The vector whose product with the matrix [`Lanczos::step`] takes.
    pub fn vector(&self) -> &[f32] {
        self.vectors.last().map_or(&[], |vector| vector)
    }

    pub fn steps(&self) -> usize {
        self.alphas.len()
    }

    /// Returns whether the space is invariant: more steps would add nothing.
    pub fn is_exhausted(&self) -> bool {
        let scale = self.alphas.iter().chain(&self.betas).fold(0.0f64, |most, v| most.max(v.abs()));
        self.betas.last().is_some_and(|beta| *beta <= EXHAUSTED * scale) || self.steps() >= self.vector().len()
    }

    /// Extends the space by the product of the matrix with the last vector.
    pub fn step(&mut self, product: Vec<f32>) {
        let alpha = dot(&product, self.vector());
        let mut rest = product;
        for _ in 0..2 {
            for vector in &self.vectors {
                let along = dot(&rest, vector);
                add_all(&mut rest, &[(-along, vector)]);
            }
        }
        let beta = dot(&rest, &rest).sqrt();
        self.alphas.push(alpha);
        self.betas.push(beta);
        if !self.is_exhausted() {
            self.vectors.push(scaled(&Spare::default(), 1.0 / beta, &rest));
        }
    }

    /// The eigenvalues of the tridiagonal matrix, largest first.
    pub fn ritz_pairs(&self) -> Vec<RitzPair> {
        let count = self.steps();
        let mut matrix = vec![vec![0.0; count]; count];
        for i in 0..count {
            matrix[i][i] = self.alphas[i];
            if i + 1 < count {
                (matrix[i][i + 1], matrix[i + 1][i]) = (self.betas[i], self.betas[i]);
            }
        }
        let (values, vectors) = symmetric_eigen(matrix);
        let last = self.betas.last().copied().unwrap_or(0.0);
        let mut pairs: Vec<RitzPair> = (0..count)
            .map(|j| {
                let components: Vec<f64> = vectors.iter().map(|row| row[j]).collect();
                let residual = last * components[count - 1].abs();
                RitzPair { value: values[j], residual, weight: components[0].powi(2), components }
            })
            .collect();
        pairs.sort_by(|a, b| b.value.total_cmp(&a.value));
        pairs
    }

    /// The approximate eigenvector of a pair, of norm 1. Its sign makes the component of largest size positive.
    pub fn ritz_vector(&self, pair: &RitzPair) -> Vec<f32> {
        let mut vector = vec![0.0; self.vector().len()];
        let terms: Vec<(f64, &[f32])> =
            pair.components.iter().zip(&self.vectors).map(|(factor, vector)| (*factor, vector.as_slice())).collect();
        add_all(&mut vector, &terms);
        let largest = vector.iter().copied().fold(0.0f32, |most, v| if v.abs() > most.abs() { v } else { most });
        scaled(&Spare::default(), f64::from(largest).signum() / dot(&vector, &vector).sqrt(), &vector)
    }
}

/// The eigenvalues of a symmetric matrix and its eigenvectors as columns, by cyclic Jacobi rotations (Golub & Van Loan, section 8.5).
fn symmetric_eigen(mut a: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    const MAX_SWEEPS: usize = 60;
    let n = a.len();
    let mut vectors: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| f64::from(i == j)).collect()).collect();
    let total: f64 = a.iter().flatten().map(|v| v * v).sum();
    // Not the difference of two sums, which would cancel.
    let off_diagonal = |a: &[Vec<f64>]| -> f64 {
        (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i][j].powi(2)).sum()
    };
    for _ in 0..MAX_SWEEPS {
        if off_diagonal(&a) <= 1e-30 * total {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if a[p][q] == 0.0 {
                    continue;
                }
                let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let c = 1.0 / t.hypot(1.0);
                rotate_columns(&mut a, [p, q], c, t * c);
                let (upper, lower) = a.split_at_mut(q);
                for (x, y) in upper[p].iter_mut().zip(&mut lower[0]) {
                    (*x, *y) = (c * *x - t * c * *y, t * c * *x + c * *y);
                }
                rotate_columns(&mut vectors, [p, q], c, t * c);
            }
        }
    }
    ((0..n).map(|i| a[i][i]).collect(), vectors)
}

fn rotate_columns(a: &mut [Vec<f64>], [p, q]: [usize; 2], c: f64, s: f64) {
    for row in a {
        (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A symmetric matrix `B'B` of 12 rows of rank 9, and its products.
    fn matrix() -> Vec<Vec<f64>> {
        let b = |i: usize, j: usize| ((i * 131 + j * 37 + i * j * 7) % 101) as f64 / 101.0 - 0.5;
        (0..12).map(|i| (0..12).map(|j| (0..9).map(|k| b(k, i) * b(k, j)).sum()).collect()).collect()
    }

    #[test]
    fn jacobi_finds_all_eigenvectors() {
        let a = matrix();
        let (values, vectors) = symmetric_eigen(a.clone());
        for (j, value) in values.iter().enumerate() {
            let v: Vec<f64> = vectors.iter().map(|row| row[j]).collect();
            assert!((v.iter().map(|v| v * v).sum::<f64>() - 1.0).abs() < 1e-12);
            for (row, v_i) in a.iter().zip(&v) {
                let product: f64 = row.iter().zip(&v).map(|(a, v)| a * v).sum();
                assert!((product - value * v_i).abs() < 1e-12);
            }
        }
        assert_eq!(values.iter().filter(|value| value.abs() < 1e-12).count(), 3);
    }

    #[test]
    fn all_steps_give_all_distinct_eigenvalues() {
        let a = matrix();
        let mut lanczos = Lanczos::new(12, 3);
        while !lanczos.is_exhausted() {
            let v: Vec<f64> = lanczos.vector().iter().map(|&v| f64::from(v)).collect();
            lanczos.step(a.iter().map(|row| row.iter().zip(&v).map(|(a, v)| a * v).sum::<f64>() as f32).collect());
        }
        let mut expected = symmetric_eigen(a.clone()).0;
        expected.sort_by(|a, b| b.total_cmp(a));
        let pairs = lanczos.ritz_pairs();
        // The eigenvalue 0 has three eigenvectors, of which a Krylov space holds one.
        assert!(pairs.len() >= 10, "{}", pairs.len());
        for (pair, expected) in pairs.iter().take(9).zip(&expected) {
            assert!((pair.value - expected).abs() < 1e-5 * expected.abs(), "{} and {expected}", pair.value);
        }
        assert!(pairs[pairs.len() - 1].value.abs() < 1e-5);
        let v = lanczos.ritz_vector(&pairs[0]);
        let product = |row: &Vec<f64>| row.iter().zip(&v).map(|(a, &v)| a * f64::from(v)).sum::<f64>();
        assert!(a.iter().zip(&v).all(|(row, &v)| (product(row) - pairs[0].value * f64::from(v)).abs() < 1e-5));
        assert!((pairs.iter().map(|pair| pair.weight).sum::<f64>() - 1.0).abs() < 1e-9);
    }
}
