//! Shapes cut out of photos: pictures that ask two questions at once.

use std::f32::consts::{PI, TAU};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Dataset;
use crate::display::{Figure, MimeBundle, Panel, Raster, Show};
use crate::stimulus::Image;
use crate::{Error, Result};

/// The shapes.
const SHAPES: [&str; 6] = ["circle", "square", "triangle", "star", "cross", "ring"];

/// The photos, by file and by what they are made of. Patches of these six can be told apart by their colours and edges.
const PHOTOS: [(&str, &str); 6] = [
    ("citrus_slices", "citrus"),
    ("coral_reef", "reef"),
    ("hawa_mahal", "windows"),
    ("canyon", "canyon"),
    ("hedgehog", "grass"),
    ("orchestra", "orchestra"),
];

/// Photos are cut into so many upright strips; every other one is held out.
const STRIPS: usize = 4;

/// Points along each side of a pixel at which a shape's edge is looked at.
const FINE: usize = 4;

/// Shapes cut out of photos, on a plain ground of any colour.
///
/// Each picture has a shape (circle, square, triangle, star, cross or ring, somewhere, of some size, turned by up to 20 degrees) and a
/// material (a patch of one of six shipped photos, mirrored half of the time). So the same pictures can be sorted by shape or by
/// material, and a network trained on one of the two questions may become invariant to the answer of the other. The idea of setting shape
/// against texture is that of Geirhos et al. (ICLR 2019).
///
/// ```
/// use metamers::prelude::{training::*, *};
///
/// let cut_outs = Cutouts::new(48)?;
/// let pictures = cut_outs.generate(12, 1)?;
/// assert_eq!(pictures.images()[0].width(), 48);
/// assert_eq!(pictures.by_shape()?.classes()[0], "circle");
/// assert_eq!(pictures.by_material()?.classes()[0], "citrus");
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cutouts {
    side: usize,
    photos: Vec<Image>,
}

/// Pictures of [`Cutouts`], each with its shape and its material.
#[derive(Clone)]
pub struct CutoutImages {
    images: Vec<Image>,
    shapes: Vec<u32>,
    materials: Vec<u32>,
}

impl Cutouts {
    /// Cut-outs of `side` x `side` pixels, from 24 to 72.
    ///
    /// # Errors
    /// Another side, or when the shipped photos cannot be read.
    pub fn new(side: usize) -> Result<Self> {
        if !(24..=72).contains(&side) {
            return Err(Error::invalid("side", format!("must be 24 to 72 pixels, got {side}; 48 is a good size")));
        }
        let photos = PHOTOS.iter().map(|(file, _)| Image::open(format!("photos/{file}.jpg")));
        Ok(Self { side, photos: photos.collect::<Result<_>>()? })
    }

    /// Pictures to train with; the same seed gives the same bits. Their materials come from the first and the third quarter of each photo's
    /// width.
    ///
    /// # Errors
    /// Never for a side that could be chosen; the type leaves the pictures' word on it.
    pub fn generate(&self, count: usize, seed: u64) -> Result<CutoutImages> {
        self.of_strips(count, seed, false)
    }

    /// Pictures to test with. Their materials come from the second and the fourth quarter: no pixel of a photo is in both.
    ///
    /// # Errors
    /// As [`Cutouts::draw`].
    pub fn generate_held_out(&self, count: usize, seed: u64) -> Result<CutoutImages> {
        self.of_strips(count, seed, true)
    }

    fn of_strips(&self, count: usize, seed: u64, held_out: bool) -> Result<CutoutImages> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(u64::from(held_out));
        let mut drawn = CutoutImages { images: vec![], shapes: vec![], materials: vec![] };
        for _ in 0..count {
            let (shape, material) = (random.random_range(0..SHAPES.len()), random.random_range(0..PHOTOS.len()));
            drawn.images.push(self.picture(shape, material, held_out, &mut random)?);
            drawn.shapes.push(shape as u32);
            drawn.materials.push(material as u32);
        }
        Ok(drawn)
    }

    fn picture(&self, shape: usize, material: usize, held_out: bool, random: &mut ChaCha8Rng) -> Result<Image> {
        let side = self.side;
        let radius = side as f32 * random.random_range(0.30..0.42f32);
        let room = side as f32 / 2.0 - radius;
        let mut centre = || side as f32 / 2.0 + random.random_range(-room..room);
        let (x, y) = (centre(), centre());
        let (sine, cosine) = random.random_range(-PI / 9.0..PI / 9.0).sin_cos();
        let ground: [f32; 3] = random.random();
        let mirrored: bool = random.random();
        let photo = &self.photos[material];
        let strip = photo.width() / STRIPS;
        let first = strip * (2 * random.random_range(0..STRIPS / 2) + usize::from(held_out));
        let left = first + random.random_range(0..=strip - side);
        let top = random.random_range(0..=photo.height() - side);
        let mut values = vec![0.0; 3 * side * side];
        for row in 0..side {
            for column in 0..side {
                let covered = (0..FINE * FINE).filter(|point| {
                    let at = |pixel: usize, fine: usize| pixel as f32 + (fine as f32 + 0.5) / FINE as f32;
                    let across = (at(column, point % FINE) - x) / radius;
                    let down = (at(row, point / FINE) - y) / radius;
                    inside(shape, cosine * across + sine * down, cosine * down - sine * across)
                });
                let share = covered.count() as f32 / (FINE * FINE) as f32;
                let from = left + if mirrored { side - 1 - column } else { column };
                for (channel, ground) in ground.iter().enumerate() {
                    let pixel = photo.values()[(channel * photo.height() + top + row) * photo.width() + from];
                    values[(channel * side + row) * side + column] = share * pixel + (1.0 - share) * ground;
                }
            }
        }
        Image::from_planes(format!("{} of {}", SHAPES[shape], PHOTOS[material].1), side, side, values)
    }
}

/// Whether a point lies in a shape of about radius 1 around the origin; `y` points down.
fn inside(shape: usize, x: f32, y: f32) -> bool {
    let radius = x.hypot(y);
    match SHAPES[shape] {
        "circle" => radius < 0.9,
        "square" => x.abs().max(y.abs()) < 0.78,
        "triangle" => y < 0.55 && 3f32.sqrt() * x.abs() - y < 1.1,
        "star" => {
            // Within a tenth of the turn of a tip, the edge runs from the tip to a notch.
            let (tip, notch, fifth) = (1.1, 0.45, TAU / 5.0);
            let angle = ((x.atan2(-y) + fifth / 2.0).rem_euclid(fifth) - fifth / 2.0).abs();
            let (along, beside) = (radius * angle.cos(), radius * angle.sin());
            let (notch_along, notch_beside) = (notch * (fifth / 2.0).cos(), notch * (fifth / 2.0).sin());
            (along - tip) * notch_beside < beside * (notch_along - tip)
        }
        "cross" => x.abs().min(y.abs()) < 0.33 && x.abs().max(y.abs()) < 1.0,
        _ => (0.55..1.0).contains(&radius),
    }
}

impl CutoutImages {
    /// The pictures.
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// The pictures sorted by shape.
    ///
    /// # Errors
    /// When there is no picture.
    pub fn by_shape(&self) -> Result<Dataset> {
        Dataset::of_images(&self.images, self.shapes.clone(), SHAPES)
    }

    /// The pictures sorted by material.
    ///
    /// # Errors
    /// When there is no picture.
    pub fn by_material(&self) -> Result<Dataset> {
        Dataset::of_images(&self.images, self.materials.clone(), PHOTOS.map(|(_, name)| name))
    }
}

impl std::fmt::Debug for CutoutImages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CutOutPictures({})", self.images.len())
    }
}

impl Show for CutoutImages {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let names = |image: &Image| Panel::picture("", Raster::from(image)).caption(image.name());
        let first: Vec<Panel> = self.images.iter().take(16).map(names).collect();
        let text = format!("{} cut-outs", self.images.len());
        let mut figure = Figure::new(format!("The first of {text}: shapes cut out of photos on plain grounds"));
        for row in first.chunks(8) {
            figure.push(row.to_vec());
        }
        vec![figure.bundle(text)]
    }
}

crate::show_in_notebooks!(CutoutImages);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_fills_its_part_of_the_picture() {
        // Areas by their formulas, against a count of points.
        let star = 5.0 * 1.1 * 0.45 * (PI / 5.0).sin();
        let area = [0.81 * PI, 1.56 * 1.56, 0.0, star, 0.66 * (4.0 - 0.66), (1.0 - 0.3025) * PI];
        for (shape, &expected) in area.iter().enumerate() {
            let at = |i: usize| i as f32 / 200.0 - 1.5 + 0.0025;
            let found = (0..600 * 600).filter(|i| inside(shape, at(i % 600), at(i / 600))).count() as f32 / 40_000.0;
            // The triangle's sides are 1.1 / sqrt(3) at height 0 and grow by 2 / sqrt(3) a unit, from -1.1 to 0.55.
            let expected = if SHAPES[shape] == "triangle" { 1.65f32.powi(2) / 3f32.sqrt() } else { expected };
            assert!((found - expected).abs() < 0.01, "{}: {found}, expected {expected}", SHAPES[shape]);
        }
    }

    #[test]
    fn a_seed_gives_the_same_bits() {
        let cut_outs = Cutouts::new(32).unwrap();
        let all = |p: &CutoutImages| p.images.iter().flat_map(|i| i.values().to_vec()).collect::<Vec<f32>>();
        let (a, b, c) = (
            cut_outs.generate(5, 3).unwrap(),
            cut_outs.generate(5, 3).unwrap(),
            cut_outs.generate_held_out(5, 3).unwrap(),
        );
        assert!(all(&a) == all(&b) && all(&a) != all(&c));
    }

    #[test]
    fn no_pixel_of_a_photo_is_in_both_parts() {
        // A photo in which every pixel says its column.
        let column = |i: usize| (i % 320) as f32 / 320.0;
        let ramp = Image::from_planes("ramp", 320, 80, (0..3 * 320 * 80).map(column).collect()).unwrap();
        let cut_outs = Cutouts { side: 72, photos: vec![ramp; PHOTOS.len()] };
        let strips = |pictures: CutoutImages| {
            let middle = |image: &Image| (image.values()[36 * 72 + 36] * 320.0).round() as usize / (320 / STRIPS);
            // Only where the middle is material: on the ground the planes differ.
            let whole = |image: &&Image| {
                (0..3).all(|c| image.values()[c * 72 * 72 + 36 * 72 + 36] == image.values()[36 * 72 + 36])
            };
            pictures.images.iter().filter(whole).map(middle).collect::<std::collections::BTreeSet<usize>>()
        };
        assert_eq!(Vec::from_iter(strips(cut_outs.generate(200, 1).unwrap())), [0, 2]);
        assert_eq!(Vec::from_iter(strips(cut_outs.generate_held_out(200, 1).unwrap())), [1, 3]);
    }

    #[test]
    fn a_side_outside_of_its_range_is_refused() {
        assert!(Cutouts::new(8).unwrap_err().to_string().contains("24 to 72"));
    }
}
