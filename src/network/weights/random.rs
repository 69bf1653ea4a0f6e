//! The weights of untrained networks.

/// The values of a random tensor, as documented at [`Checkpoint::random`](super::Checkpoint::random).
pub(super) fn values(seed: u64, name: &str, shape: &[usize]) -> Vec<f32> {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    let key = name.bytes().fold(0xCBF2_9CE4_8422_2325, fnv).wrapping_add(seed.wrapping_mul(GOLDEN));
    let uniform = |i: u64| {
        let mut z = key.wrapping_add(i).wrapping_mul(GOLDEN);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f64 / (1u64 << 24) as f64
    };
    let fan_in: usize = shape.iter().skip(1).product();
    let value = |u: f64| match shape.len() {
        1 if name.ends_with(".weight") || name.ends_with(".running_var") => 0.75 + u / 2.0,
        1 => (u - 0.5) / 10.0,
        _ => (2.0 * u - 1.0) * (6.0 / fan_in as f64).sqrt(),
    };
    (0..shape.iter().product::<usize>() as u64).map(|i| value(uniform(i)) as f32).collect()
}
