//! Images of shapes cut out of photos, labelled by shape and by material.

use std::f32::consts::{PI, TAU};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Dataset;
use crate::display::{Figure, MimeBundle, Panel, Raster, Show};
use crate::stimulus::Image;
use crate::{Error, Result};

/// The names of the shapes.
const SHAPES: [&str; 6] = ["circle", "square", "triangle", "star", "cross", "ring"];

/// Photos by file and material. Patches of these six can be distinguished by colour and edges.
const PHOTOS: [(&str, &str); 6] = [
    ("citrus_slices", "citrus"),
    ("coral_reef", "reef"),
    ("hawa_mahal", "windows"),
    ("canyon", "canyon"),
    ("hedgehog", "grass"),
    ("orchestra", "orchestra"),
];

/// The number of vertical strips of a photo; every second one is held out.
const STRIPS: usize = 4;

/// Supersampling factor at the edges of shapes, along each side of a pixel.
const SUPERSAMPLING: usize = 4;

/// Generates images of shapes cut out of photos, on a background of a random colour.
///
/// Each image has a shape (circle, square, triangle, star, cross or ring, of random position and size, rotated by up to 20 degrees)
/// and a material (a patch of one of six shipped photos, mirrored at random). The same images can be classified by shape or by
/// material, so a network trained on one label may become invariant to the other. Geirhos et al. (ICLR 2019) introduced this contrast
/// of shape and texture.
///
/// ```
/// use metamers::prelude::{training::*, *};
///
/// let cutouts = Cutouts::new(48)?;
/// let images = cutouts.generate(12, 1)?;
/// assert_eq!(images.images()[0].width(), 48);
/// assert_eq!(images.by_shape()?.classes()[0], "circle");
/// assert_eq!(images.by_material()?.classes()[0], "citrus");
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cutouts {
    side: usize,
    photos: Vec<Image>,
}

/// Images from [`Cutouts`], each with its shape and material.
#[derive(Clone)]
pub struct CutoutImages {
    images: Vec<Image>,
    shapes: Vec<u32>,
    materials: Vec<u32>,
}

impl Cutouts {
    /// Creates a generator of images of `side` x `side` pixels, from 24 to 72.
    ///
    /// # Errors
    /// Fails for another side, and if the shipped photos cannot be read or are too small.
    pub fn new(side: usize) -> Result<Self> {
        if !(24..=72).contains(&side) {
            return Err(Error::invalid("side", format!("must be 24 to 72 pixels, got {side}; 48 is a good size")));
        }
        let photos = PHOTOS.iter().map(|(file, _)| Image::open(format!("photos/{file}.jpg")));
        Self::from_photos(side, photos.collect::<Result<_>>()?)
    }

    /// Checks the photos, because the working directory or `METAMERS_ASSETS` may have others with these names.
    fn from_photos(side: usize, photos: Vec<Image>) -> Result<Self> {
        if let Some(photo) = photos.iter().find(|photo| photo.width() / STRIPS < side || photo.height() < side) {
            let (width, height) = (photo.width(), photo.height());
            let reason = format!("must have at least {} x {side} pixels, got {width} x {height}", STRIPS * side);
            return Err(Error::invalid(format!("photo \"{}\"", photo.name()), reason));
        }
        Ok(Self { side, photos })
    }

    /// Generates training images; the same seed gives the same bits. Materials come from the first and third quarter of each photo's
    /// width.
    ///
    /// # Errors
    /// Infallible for a valid side; the `Result` comes from [`Image::from_planes`].
    pub fn generate(&self, count: usize, seed: u64) -> Result<CutoutImages> {
        self.generate_from(Split::Training, count, seed)
    }

    /// Generates test images. Materials come from the second and fourth quarter, so the two sets share no pixel of a photo.
    ///
    /// # Errors
    /// Fails like [`Cutouts::generate`].
    pub fn generate_held_out(&self, count: usize, seed: u64) -> Result<CutoutImages> {
        self.generate_from(Split::HeldOut, count, seed)
    }

    fn generate_from(&self, split: Split, count: usize, seed: u64) -> Result<CutoutImages> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(split as u64);
        let mut generated = CutoutImages { images: vec![], shapes: vec![], materials: vec![] };
        for _ in 0..count {
            let (shape, material) = (random.random_range(0..SHAPES.len()), random.random_range(0..PHOTOS.len()));
            generated.images.push(self.image(shape, material, split, &mut random)?);
            generated.shapes.push(shape as u32);
            generated.materials.push(material as u32);
        }
        Ok(generated)
    }

    fn image(&self, shape: usize, material: usize, split: Split, random: &mut ChaCha8Rng) -> Result<Image> {
        let side = self.side;
        let radius = side as f32 * random.random_range(0.30..0.42f32);
        let margin = side as f32 / 2.0 - radius;
        let mut center = || side as f32 / 2.0 + random.random_range(-margin..margin);
        let (x, y) = (center(), center());
        let (sine, cosine) = random.random_range(-PI / 9.0..PI / 9.0).sin_cos();
        let background: [f32; 3] = random.random();
        let mirrored: bool = random.random();
        let photo = &self.photos[material];
        let strip = photo.width() / STRIPS;
        let first = strip * (2 * random.random_range(0..STRIPS / 2) + split as usize);
        let left = first + random.random_range(0..=strip - side);
        let top = random.random_range(0..=photo.height() - side);
        let mut values = vec![0.0; 3 * side * side];
        for row in 0..side {
            for column in 0..side {
                let covered = (0..SUPERSAMPLING * SUPERSAMPLING).filter(|point| {
                    let at = |pixel: usize, sub: usize| pixel as f32 + (sub as f32 + 0.5) / SUPERSAMPLING as f32;
                    let across = (at(column, point % SUPERSAMPLING) - x) / radius;
                    let down = (at(row, point / SUPERSAMPLING) - y) / radius;
                    inside(shape, cosine * across + sine * down, cosine * down - sine * across)
                });
                let coverage = covered.count() as f32 / (SUPERSAMPLING * SUPERSAMPLING) as f32;
                let from = left + if mirrored { side - 1 - column } else { column };
                for (channel, background) in background.iter().enumerate() {
                    let pixel = photo.values()[(channel * photo.height() + top + row) * photo.width() + from];
                    values[(channel * side + row) * side + column] = coverage * pixel + (1.0 - coverage) * background;
                }
            }
        }
        Image::from_planes(format!("{} of {}", SHAPES[shape], PHOTOS[material].1), side, side, values)
    }
}

/// The strips of the photos that materials come from.
#[derive(Clone, Copy)]
enum Split {
    Training = 0,
    HeldOut = 1,
}

/// Returns whether a point is inside a shape of radius about 1 around the origin; `y` points down.
fn inside(shape: usize, x: f32, y: f32) -> bool {
    let radius = x.hypot(y);
    match SHAPES[shape] {
        "circle" => radius < 0.9,
        "square" => x.abs().max(y.abs()) < 0.78,
        "triangle" => y < 0.55 && 3f32.sqrt() * x.abs() - y < 1.1,
        "star" => {
            // Within a tenth of a turn around each tip, the edge runs from the tip to a notch.
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
    /// The images.
    #[must_use]
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// The images labelled by shape.
    ///
    /// # Errors
    /// Fails without images.
    pub fn by_shape(&self) -> Result<Dataset> {
        Dataset::from_images(&self.images, self.shapes.clone(), SHAPES)
    }

    /// The images labelled by material.
    ///
    /// # Errors
    /// Fails without images.
    pub fn by_material(&self) -> Result<Dataset> {
        Dataset::from_images(&self.images, self.materials.clone(), PHOTOS.map(|(_, name)| name))
    }
}

impl std::fmt::Debug for CutoutImages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CutoutImages({})", self.images.len())
    }
}

impl Show for CutoutImages {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let names = |image: &Image| Panel::picture("", Raster::from(image)).caption(image.name());
        let first: Vec<Panel> = self.images.iter().take(16).map(names).collect();
        let text = format!("{} cut-outs", self.images.len());
        let mut figure = Figure::new(format!("The first of {text}: shapes cut out of photos on plain backgrounds"));
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
    fn shapes_have_their_analytic_areas() {
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
        let cutouts = Cutouts::new(32).unwrap();
        let all = |p: &CutoutImages| p.images.iter().flat_map(|i| i.values().to_vec()).collect::<Vec<f32>>();
        let (a, b, c) = (
            cutouts.generate(5, 3).unwrap(),
            cutouts.generate(5, 3).unwrap(),
            cutouts.generate_held_out(5, 3).unwrap(),
        );
        assert!(all(&a) == all(&b) && all(&a) != all(&c));
    }

    #[test]
    fn training_and_test_images_share_no_pixel_of_a_photo() {
        // A photo whose pixels encode their column.
        let column = |i: usize| (i % 320) as f32 / 320.0;
        let ramp = Image::from_planes("ramp", 320, 80, (0..3 * 320 * 80).map(column).collect()).unwrap();
        let cutouts = Cutouts::from_photos(72, vec![ramp; PHOTOS.len()]).unwrap();
        let strips = |pictures: CutoutImages| {
            let middle = |image: &Image| (image.values()[36 * 72 + 36] * 320.0).round() as usize / (320 / STRIPS);
            // Only images with material in the middle; on the background, the channels differ.
            let whole = |image: &&Image| {
                (0..3).all(|c| image.values()[c * 72 * 72 + 36 * 72 + 36] == image.values()[36 * 72 + 36])
            };
            pictures.images.iter().filter(whole).map(middle).collect::<std::collections::BTreeSet<usize>>()
        };
        assert_eq!(Vec::from_iter(strips(cutouts.generate(200, 1).unwrap())), [0, 2]);
        assert_eq!(Vec::from_iter(strips(cutouts.generate_held_out(200, 1).unwrap())), [1, 3]);
    }

    #[test]
    fn a_side_out_of_range_is_an_error() {
        assert!(Cutouts::new(8).unwrap_err().to_string().contains("24 to 72"));
    }

    #[test]
    fn a_small_photo_is_an_error() {
        let small = Image::from_planes("canyon", 96, 23, vec![0.5; 3 * 96 * 23]).unwrap();
        let message = Cutouts::from_photos(24, vec![small]).unwrap_err().to_string();
        assert_eq!(message, "photo \"canyon\": must have at least 96 x 24 pixels, got 96 x 23");
    }
}
