//! 3 x 3 convolutions with stride 1 by Winograd's minimal filtering F(4 x 4, 3 x 3) (Lavin & Gray, CVPR 2016).
//!
//! Tiles of 6 x 6 pixels, of which neighbours overlap by two, give 4 x 4 outputs each. Transformed, a convolution is 36
//! matrix products of tiles by channels, with a quarter of the multiplications. The points are 0, 1, -1, 2, -2 and infinity.

use super::dense::Pixels;
use super::finish::Finish;
use super::tile::Product;
use crate::engine::aligned::Aligned;
use crate::engine::simd::{Job, LANES, Simd};

/// Products of one tile: 6 x 6.
pub(in crate::engine) const POINTS: usize = 36;
const OUT: usize = 4;

/// Transformed weights, `[point][block][channel in][channel out % 16]`.
pub(in crate::engine) struct Winograd {
    weights: Aligned,
    pub depth: usize,
    pub blocks: usize,
    /// Rows and columns of padding above and to the left.
    pub before: [usize; 2],
}

/// The tiles of an image.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Tiles {
    pub across: usize,
    pub count: usize,
}

impl Tiles {
    /// Those that cover an output of this size.
    pub fn of([height, width]: [usize; 2]) -> Self {
        let across = width.div_ceil(OUT);
        Self { across, count: height.div_ceil(OUT) * across }
    }
}

const G: [[f64; 3]; 6] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

impl Winograd {
    /// Transforms `weight(channel out, channel in, tap)`, taps row by row.
    pub fn pack([outputs, depth]: [usize; 2], before: [usize; 2], weight: impl Fn(usize, usize, usize) -> f32) -> Self {
        let blocks = outputs.div_ceil(LANES);
        let panel = blocks * depth * LANES;
        let mut weights = Aligned::zeros(POINTS * panel);
        let values = weights.values_mut();
        for o in 0..outputs {
            for i in 0..depth {
                let at = (o / LANES * depth + i) * LANES + o % LANES;
                let g: [f64; 9] = std::array::from_fn(|tap| f64::from(weight(o, i, tap)));
                let rows = G.map(|u| [0, 1, 2].map(|x| u[0] * g[x] + u[1] * g[3 + x] + u[2] * g[6 + x]));
                for (y, row) in rows.iter().enumerate() {
                    for (x, u) in G.iter().enumerate() {
                        let value = u[0] * row[0] + u[1] * row[1] + u[2] * row[2];
                        values[(6 * y + x) * panel + at] = value as f32;
                    }
                }
            }
        }
        Self { weights, depth, blocks, before }
    }

    /// Numbers that transformed tiles of the input and of the output take.
    pub fn room(&self, tiles: usize) -> [usize; 2] {
        [POINTS * tiles * self.depth.next_multiple_of(LANES), POINTS * tiles * self.blocks * LANES]
    }
}

#[inline(always)]
unsafe fn transform_input<S: Simd>(d: [S::V; 6]) -> [S::V; 6] {
    unsafe {
        let [four, five] = [S::splat(-4.0), S::splat(-5.0)];
        let [one, two] = [S::splat(-1.0), S::splat(2.0)];
        let a = S::mul_add(d[2], four, d[4]);
        let b = S::mul_add(d[1], four, d[3]);
        let c = S::mul_add(d[2], one, d[4]);
        let e = S::mul(S::mul_add(d[1], one, d[3]), two);
        [
            S::mul_add(d[0], S::splat(4.0), S::mul_add(d[2], five, d[4])),
            S::add(a, b),
            S::mul_add(b, one, a),
            S::add(c, e),
            S::mul_add(e, one, c),
            S::mul_add(d[1], S::splat(4.0), S::mul_add(d[3], five, d[5])),
        ]
    }
}

#[inline(always)]
unsafe fn transform_output<S: Simd>(m: [S::V; 6]) -> [S::V; 4] {
    unsafe {
        let one = S::splat(-1.0);
        let (a, b) = (S::add(m[1], m[2]), S::mul_add(m[2], one, m[1]));
        let (c, d) = (S::add(m[3], m[4]), S::mul_add(m[4], one, m[3]));
        [
            S::add(S::add(m[0], a), c),
            S::mul_add(d, S::splat(2.0), b),
            S::mul_add(c, S::splat(4.0), a),
            S::add(S::mul_add(d, S::splat(8.0), b), m[5]),
        ]
    }
}

/// Some tiles of one image on their way through a convolution.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Chunk<'a> {
    pub conv: &'a Winograd,
    pub tiles: Tiles,
    /// The first tile of the chunk, and how many there are.
    pub first: usize,
    pub count: usize,
    pub source: Pixels,
    /// Transformed input and output.
    pub room: [*mut f32; 2],
    /// Of the first pixel of the image.
    pub finish: Finish,
    pub target: [usize; 2],
}

/// Transforms tiles `tiles` of the chunk's input.
pub(in crate::engine) struct Input<'a>(pub Chunk<'a>, pub [usize; 2]);

impl Job for Input<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self(chunk, tiles) = self;
        let Pixels { at, size: [height, width], step } = chunk.source;
        let channels = chunk.conv.depth.next_multiple_of(LANES);
        for tile in tiles[0]..tiles[1] {
            let place = chunk.first + tile;
            let top = (place / chunk.tiles.across * OUT) as isize - chunk.conv.before[0] as isize;
            let left = (place % chunk.tiles.across * OUT) as isize - chunk.conv.before[1] as isize;
            for channel in (0..channels).step_by(LANES) {
                unsafe {
                    let mut rows = [[S::splat(0.0); 6]; 6];
                    for x in 0..6 {
                        let mut column = [S::splat(0.0); 6];
                        let across = left + x as isize;
                        if across >= 0 && (across as usize) < width {
                            for (y, value) in column.iter_mut().enumerate() {
                                let down = top + y as isize;
                                if down >= 0 && (down as usize) < height {
                                    let pixel = down as usize * width + across as usize;
                                    *value = S::load(at.add(pixel * step + channel));
                                }
                            }
                        }
                        let column = transform_input::<S>(column);
                        for (row, value) in rows.iter_mut().zip(column) {
                            row[x] = value;
                        }
                    }
                    for (y, row) in rows.into_iter().enumerate() {
                        for (x, value) in transform_input::<S>(row).into_iter().enumerate() {
                            let to = ((6 * y + x) * chunk.count + tile) * channels + channel;
                            S::store(chunk.room[0].add(to), value);
                        }
                    }
                }
            }
        }
    }
}

/// Multiplies the chunk's tiles at one point, for some blocks of outputs.
pub(in crate::engine) struct Multiply<'a>(pub Chunk<'a>, pub usize, pub [usize; 2]);

impl Job for Multiply<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self(chunk, point, [first, end]) = self;
        let Winograd { weights, depth, blocks, .. } = chunk.conv;
        let (inputs, outputs) = (depth.next_multiple_of(LANES), blocks * LANES);
        unsafe {
            let finish = Finish {
                target: chunk.room[1].add(point * chunk.count * outputs + first * LANES),
                step: outputs,
                ..Finish::PLAIN
            };
            Product {
                source: chunk.room[0].add(point * chunk.count * inputs).cast_const(),
                step: inputs,
                taps: &[0],
                depth: *depth,
                weights: weights.as_ptr().add((point * blocks + first) * depth * LANES),
                finish,
            }
            .run::<S>(chunk.count, end - first);
        }
    }
}

/// Transforms tiles `tiles` of the chunk's output.
pub(in crate::engine) struct Output<'a>(pub Chunk<'a>, pub [usize; 2]);

impl Job for Output<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self(chunk, tiles) = self;
        let [height, width] = chunk.target;
        let channels = chunk.conv.blocks * LANES;
        for tile in tiles[0]..tiles[1] {
            let place = chunk.first + tile;
            let top = place / chunk.tiles.across * OUT;
            let left = place % chunk.tiles.across * OUT;
            for block in 0..chunk.conv.blocks {
                unsafe {
                    let mut rows = [[S::splat(0.0); 6]; OUT];
                    for x in 0..6 {
                        let mut column = [S::splat(0.0); 6];
                        for (y, value) in column.iter_mut().enumerate() {
                            let from = ((6 * y + x) * chunk.count + tile) * channels + block * LANES;
                            *value = S::load(chunk.room[1].add(from));
                        }
                        for (row, value) in rows.iter_mut().zip(transform_output::<S>(column)) {
                            row[x] = value;
                        }
                    }
                    for (y, row) in rows.into_iter().enumerate().take(height - top.min(height)) {
                        let values = transform_output::<S>(row);
                        let pixel = (top + y) * width + left;
                        for (x, value) in values.into_iter().enumerate().take(width - left) {
                            chunk.finish.write::<S>(pixel + x, block, value);
                        }
                    }
                }
            }
        }
    }
}

/// All of it for one chunk.
pub(in crate::engine) struct Whole<'a>(pub Chunk<'a>);

impl Job for Whole<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self(chunk) = self;
        unsafe {
            S::apart(Input(chunk, [0, chunk.count]));
            for point in 0..POINTS {
                Multiply(chunk, point, [0, chunk.conv.blocks]).run::<S>();
            }
            S::apart(Output(chunk, [0, chunk.count]));
        }
    }
}
