//! Convolutions with stride 1 by Winograd's minimal filtering (Lavin & Gray, CVPR 2016).
//!
//! The input is cut into overlapping tiles, each of which gives a smaller tile of the output. In the transformed domain a
//! convolution is one matrix product, tiles by channels, for each point of a tile, with a fraction of the multiplications. The
//! interpolation points are 0, 1, -1, 2, -2 and infinity, or 0, 1, -1 and infinity.

use super::epilogue::Epilogue;
use super::gemm::Pixels;
use super::microkernel::Product;
use crate::engine::aligned::AlignedBuffer;
use crate::engine::simd::{Job, LANES, Simd};

/// F(m x m, r x r): the size of a tile's output, and of the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Scheme {
    /// F(4 x 4, 3 x 3): a quarter of the multiplications.
    F4x3,
    /// F(2 x 2, 3 x 3): 4/9 of the multiplications, and less than half the weights of F(4 x 4, 3 x 3).
    F2x3,
    /// F(2 x 2, 5 x 5): 9/25 of the multiplications.
    F2x5,
}

impl Scheme {
    pub const ALL: [Self; 3] = [Self::F4x3, Self::F2x3, Self::F2x5];

    /// Rows of a tile's output.
    pub const fn outputs(self) -> usize {
        match self {
            Self::F4x3 => 4,
            Self::F2x3 | Self::F2x5 => 2,
        }
    }

    /// Rows of the filter.
    pub const fn taps(self) -> usize {
        match self {
            Self::F4x3 | Self::F2x3 => 3,
            Self::F2x5 => 5,
        }
    }

    /// Rows of a tile's input.
    const fn side(self) -> usize {
        self.outputs() + self.taps() - 1
    }

    /// The number of points of a tile.
    pub const fn points(self) -> usize {
        self.side() * self.side()
    }

    /// The filter transform G, one row for each point.
    fn filter_transform(self) -> Vec<Vec<f64>> {
        let finite: &[(f64, f64)] = match self.side() {
            4 => &[(0.0, 1.0), (1.0, 0.5), (-1.0, 0.5)],
            _ => &[(0.0, 0.25), (1.0, -1.0 / 6.0), (-1.0, -1.0 / 6.0), (2.0, 1.0 / 24.0), (-2.0, 1.0 / 24.0)],
        };
        let row = |&(point, factor): &(f64, f64)| (0..self.taps()).map(|k| factor * point.powi(k as i32)).collect();
        let last = (0..self.taps()).map(|k| f64::from(u8::from(k + 1 == self.taps()))).collect();
        finite.iter().map(row).chain([last]).collect()
    }
}

/// Transformed weights, `[point][block][channel in][channel out % 16]`.
pub(in crate::engine) struct Winograd {
    weights: AlignedBuffer,
    pub scheme: Scheme,
    pub depth: usize,
    pub blocks: usize,
    /// Padding above and to the left.
    pub padding: [usize; 2],
}

/// The tiles of a batch of images.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Tiles {
    /// Tiles in a row of one image.
    pub per_row: usize,
    pub per_image: usize,
    /// Tiles of the whole batch.
    pub count: usize,
}

impl Tiles {
    /// The tiles that cover outputs of this size.
    pub fn new(scheme: Scheme, batch: usize, [height, width]: [usize; 2]) -> Self {
        let per_row = width.div_ceil(scheme.outputs());
        let per_image = height.div_ceil(scheme.outputs()) * per_row;
        Self { per_row, per_image, count: batch * per_image }
    }
}

/// Rounds up to an odd number of cache lines, so that values at this distance do not compete for the same cache sets.
fn odd_lines(values: usize) -> usize {
    (values.div_ceil(LANES) | 1) * LANES
}

impl Winograd {
    /// Transforms `weight(channel out, channel in, tap)`, taps row by row.
    pub fn pack(
        scheme: Scheme,
        [outputs, depth]: [usize; 2],
        padding: [usize; 2],
        weight: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let blocks = outputs.div_ceil(LANES);
        let panel = blocks * depth * LANES;
        let (side, taps, filter) = (scheme.side(), scheme.taps(), scheme.filter_transform());
        let mut weights = AlignedBuffer::zeros(scheme.points() * panel);
        let values = weights.values_mut();
        let mut rows = vec![0.0; side * taps];
        for o in 0..outputs {
            for i in 0..depth {
                let at = (o / LANES * depth + i) * LANES + o % LANES;
                let g: [f64; 25] =
                    std::array::from_fn(|tap| if tap < taps * taps { f64::from(weight(o, i, tap)) } else { 0.0 });
                for (row, u) in rows.chunks_exact_mut(taps).zip(&filter) {
                    for (x, value) in row.iter_mut().enumerate() {
                        *value = u.iter().enumerate().map(|(y, u)| u * g[y * taps + x]).sum();
                    }
                }
                for (y, row) in rows.chunks_exact(taps).enumerate() {
                    for (x, u) in filter.iter().enumerate() {
                        let value: f64 = row.iter().zip(u).map(|(row, u)| row * u).sum();
                        values[(side * y + x) * panel + at] = value as f32;
                    }
                }
            }
        }
        Self { weights, scheme, depth, blocks, padding }
    }

    /// Values from tile to tile of the transformed input and output.
    fn tile_strides(&self) -> [usize; 2] {
        [odd_lines(self.depth), odd_lines(self.blocks * LANES)]
    }

    /// Sizes of the transformed input and output of `tiles` tiles, in values.
    pub fn scratch(&self, tiles: usize) -> [usize; 2] {
        self.tile_strides().map(|stride| self.scheme.points() * odd_lines(tiles * stride))
    }
}

/// The one-dimensional input transform.
///
/// # Safety
/// The processor has the instruction set.
#[inline(always)]
unsafe fn transform_input<S: Simd, const N: usize>(d: [S::V; N]) -> [S::V; N] {
    // SAFETY: the caller vouches for the instruction set; no memory is accessed.
    unsafe {
        let minus = S::splat(-1.0);
        let mut points = [S::splat(0.0); N];
        if N == 4 {
            points[0] = S::mul_add(d[2], minus, d[0]);
            points[1] = S::add(d[1], d[2]);
            points[2] = S::mul_add(d[1], minus, d[2]);
            points[3] = S::mul_add(d[1], minus, d[3]);
        } else {
            let [four, five] = [S::splat(-4.0), S::splat(-5.0)];
            let a = S::mul_add(d[2], four, d[4]);
            let b = S::mul_add(d[1], four, d[3]);
            let c = S::mul_add(d[2], minus, d[4]);
            let e = S::mul(S::mul_add(d[1], minus, d[3]), S::splat(2.0));
            points[0] = S::mul_add(d[0], S::splat(4.0), S::mul_add(d[2], five, d[4]));
            points[1] = S::add(a, b);
            points[2] = S::mul_add(b, minus, a);
            points[3] = S::add(c, e);
            points[4] = S::mul_add(e, minus, c);
            points[5] = S::mul_add(d[1], S::splat(4.0), S::mul_add(d[3], five, d[5]));
        }
        points
    }
}

/// The one-dimensional output transform.
///
/// # Safety
/// The processor has the instruction set.
#[inline(always)]
unsafe fn transform_output<S: Simd, const N: usize, const M: usize>(m: [S::V; N]) -> [S::V; M] {
    // SAFETY: the caller vouches for the instruction set; no memory is accessed.
    unsafe {
        let minus = S::splat(-1.0);
        let mut outputs = [S::splat(0.0); M];
        let (a, b) = (S::add(m[1], m[2]), S::mul_add(m[2], minus, m[1]));
        if N == 4 {
            outputs[0] = S::add(m[0], a);
            outputs[1] = S::add(b, m[3]);
            return outputs;
        }
        let (c, d) = (S::add(m[3], m[4]), S::mul_add(m[4], minus, m[3]));
        outputs[0] = S::add(S::add(m[0], a), c);
        outputs[1] = S::mul_add(d, S::splat(2.0), b);
        if M == 4 {
            outputs[2] = S::mul_add(c, S::splat(4.0), a);
            outputs[3] = S::mul_add(d, S::splat(8.0), b);
        }
        outputs[M - 1] = S::add(outputs[M - 1], m[5]);
        outputs
    }
}

/// A range of tiles with their source, scratch memory and target.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Chunk<'a> {
    pub conv: &'a Winograd,
    pub tiles: Tiles,
    /// The index of the first tile.
    pub first: usize,
    /// The number of tiles.
    pub count: usize,
    /// The first image of the batch.
    pub source: Pixels,
    /// The transformed input and output.
    pub scratch: [*mut f32; 2],
    /// The epilogue at the first pixel of the first image.
    pub epilogue: Epilogue,
    /// Height and width of the output.
    pub target: [usize; 2],
}

impl Chunk<'_> {
    /// The image of a tile, and the row and column of its first output.
    fn position(&self, tile: usize) -> [usize; 3] {
        let Tiles { per_row, per_image, .. } = self.tiles;
        let (image, tile) = ((self.first + tile) / per_image, (self.first + tile) % per_image);
        [image, tile / per_row * self.conv.scheme.outputs(), tile % per_row * self.conv.scheme.outputs()]
    }

    /// Values from point to point of the transformed input and output.
    fn point_strides(&self) -> [usize; 2] {
        self.conv.tile_strides().map(|stride| odd_lines(self.count * stride))
    }
}

/// Transforms the input of the chunk's tiles `[first, end]`.
pub(in crate::engine) struct InputTransform<'a>(pub Chunk<'a>, pub [usize; 2]);

impl Job for InputTransform<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self(chunk, tiles) = self;
        for tile in tiles[0]..tiles[1] {
            // SAFETY: the caller of `run` vouches for the chunk's pointers, and the tile lies in the chunk.
            unsafe {
                match chunk.conv.scheme {
                    Scheme::F4x3 | Scheme::F2x5 => input::<S, 6>(&chunk, tile),
                    Scheme::F2x3 => input::<S, 4>(&chunk, tile),
                }
            }
        }
    }
}

/// Transforms the input of one tile.
///
/// # Safety
/// The chunk's pointers are valid, `tile` lies in the chunk, and the processor has the instruction set.
#[inline(always)]
unsafe fn input<S: Simd, const N: usize>(chunk: &Chunk, tile: usize) {
    let Pixels { at, size: [height, width], stride } = chunk.source;
    let [image, top, left] = chunk.position(tile);
    let [top, left] = [top as isize - chunk.conv.padding[0] as isize, left as isize - chunk.conv.padding[1] as isize];
    // Rows and columns of the tile inside the image; the rest is zero.
    let within = |first: isize, size: usize| {
        [(-first).clamp(0, N as isize) as usize, (size as isize - first).clamp(0, N as isize) as usize]
    };
    let (rows, columns) = (within(top, height), within(left, width));
    let first = (image * height) as isize + top;
    let at = at.wrapping_offset((first * width as isize + left) * stride as isize);
    // SAFETY: the caller's contract; `INSIDE` is set only if the whole tile lies inside the image.
    unsafe {
        if rows == [0, N] && columns == [0, N] {
            input_blocks::<S, N, true>(chunk, tile, at, rows, columns);
        } else {
            input_blocks::<S, N, false>(chunk, tile, at, rows, columns);
        }
    }
}

/// Transforms all channels of one tile.
///
/// # Safety
/// As for [`input`]; pixels of the tile in `rows` and `columns` lie inside the image, and all of them if `INSIDE`.
#[inline(always)]
unsafe fn input_blocks<S: Simd, const N: usize, const INSIDE: bool>(
    chunk: &Chunk,
    tile: usize,
    at: *const f32,
    rows: [usize; 2],
    columns: [usize; 2],
) {
    let Pixels { size: [_, width], stride, .. } = chunk.source;
    let ([tile_stride, _], [point_stride, _]) = (chunk.conv.tile_strides(), chunk.point_strides());
    for channel in (0..chunk.conv.depth).step_by(LANES) {
        // SAFETY: only pixels inside the image are read; channels are padded to whole vectors, and the transformed input has
        // space for this tile at every point.
        unsafe {
            let mut half = [[S::splat(0.0); N]; N];
            for x in 0..N {
                let mut column = [S::splat(0.0); N];
                for (y, value) in column.iter_mut().enumerate() {
                    if INSIDE || (y >= rows[0] && y < rows[1] && x >= columns[0] && x < columns[1]) {
                        *value = S::load(at.wrapping_add((y * width + x) * stride + channel));
                    }
                }
                for (row, value) in half.iter_mut().zip(transform_input::<S, N>(column)) {
                    row[x] = value;
                }
            }
            let to = chunk.scratch[0].add(tile * tile_stride + channel);
            for (y, row) in half.into_iter().enumerate() {
                for (x, value) in transform_input::<S, N>(row).into_iter().enumerate() {
                    S::store(to.add((N * y + x) * point_stride), value);
                }
            }
        }
    }
}

/// Multiplies the chunk's tiles with the weights of one point, for the output blocks `[first, end]`.
pub(in crate::engine) struct Multiply<'a>(pub Chunk<'a>, pub usize, pub [usize; 2]);

impl Job for Multiply<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self(chunk, point, [first, end]) = self;
        let Winograd { weights, depth, blocks, .. } = chunk.conv;
        let ([inputs, outputs], [point_stride, output_point_stride]) =
            (chunk.conv.tile_strides(), chunk.point_strides());
        // SAFETY: the caller of `run` vouches for the scratch memory; `weights` holds a panel for each point.
        unsafe {
            let epilogue = Epilogue {
                target: chunk.scratch[1].add(point * output_point_stride + first * LANES),
                stride: outputs,
                ..Epilogue::STORE
            };
            Product {
                source: chunk.scratch[0].add(point * point_stride).cast_const(),
                stride: inputs,
                taps: &[0],
                depth: *depth,
                weights: weights.as_ptr().add((point * blocks + first) * depth * LANES),
                epilogue,
            }
            .run::<S>(chunk.count, end - first);
        }
    }
}

/// Transforms the output of the chunk's tiles `[first, end]`.
pub(in crate::engine) struct OutputTransform<'a>(pub Chunk<'a>, pub [usize; 2]);

impl Job for OutputTransform<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self(chunk, tiles) = self;
        for tile in tiles[0]..tiles[1] {
            // SAFETY: the caller of `run` vouches for the chunk's pointers, and the tile lies in the chunk.
            unsafe {
                match chunk.conv.scheme {
                    Scheme::F4x3 => output::<S, 6, 4>(&chunk, tile),
                    Scheme::F2x3 => output::<S, 4, 2>(&chunk, tile),
                    Scheme::F2x5 => output::<S, 6, 2>(&chunk, tile),
                }
            }
        }
    }
}

/// Transforms the output of one tile.
///
/// # Safety
/// As for [`input`].
#[inline(always)]
unsafe fn output<S: Simd, const N: usize, const M: usize>(chunk: &Chunk, tile: usize) {
    let [height, width] = chunk.target;
    let ([_, stride], [_, point_stride]) = (chunk.conv.tile_strides(), chunk.point_strides());
    let [image, top, left] = chunk.position(tile);
    for block in 0..chunk.conv.blocks {
        // SAFETY: the transformed output holds this tile at every point; rows and columns beyond the output are skipped.
        unsafe {
            let from = chunk.scratch[1].add(tile * stride + block * LANES).cast_const();
            let mut rows = [[S::splat(0.0); N]; M];
            for x in 0..N {
                let mut column = [S::splat(0.0); N];
                for (y, value) in column.iter_mut().enumerate() {
                    *value = S::load(from.add((N * y + x) * point_stride));
                }
                for (row, value) in rows.iter_mut().zip(transform_output::<S, N, M>(column)) {
                    row[x] = value;
                }
            }
            for (y, row) in rows.into_iter().enumerate().take(height - top) {
                let values = transform_output::<S, N, M>(row);
                let epilogue = chunk.epilogue.at((image * height + top + y) * width + left, block);
                if left + M <= width {
                    epilogue.write_tile::<S, M, 1>(values.map(|value| [value]));
                } else {
                    for (x, value) in values.into_iter().enumerate().take(width - left) {
                        epilogue.write::<S>(x, 0, value);
                    }
                }
            }
        }
    }
}

/// All three stages for one chunk, on one thread.
pub(in crate::engine) struct AllStages<'a>(pub Chunk<'a>);

impl Job for AllStages<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self(chunk) = self;
        // SAFETY: the caller of `run` vouches for the chunk, and each stage reads what the one before wrote.
        unsafe {
            S::run_outlined(InputTransform(chunk, [0, chunk.count]));
            for point in 0..chunk.conv.scheme.points() {
                Multiply(chunk, point, [0, chunk.conv.blocks]).run::<S>();
            }
            S::run_outlined(OutputTransform(chunk, [0, chunk.count]));
        }
    }
}
