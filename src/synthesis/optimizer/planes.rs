//! The planes of a stimulus.

/// The layout of a stimulus's values: planes of colors, or one plane of samples with a height of 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planes {
    pub count: usize,
    /// Height and width.
    pub size: [usize; 2],
    /// `true` for the samples of a sound. The size does not tell: an image can be one pixel high, too.
    pub is_sound: bool,
}

impl Planes {
    /// The planes of a tensor: `[1, channels, height, width]` of an image, or `[1, samples]` of a sound.
    pub fn of_shape(shape: &[usize]) -> Self {
        match *shape {
            [_, count, height, width] => Self { count, size: [height, width], is_sound: false },
            _ => Self { count: 1, size: [1, shape.iter().product()], is_sound: true },
        }
    }

    /// The number of values of all planes.
    pub fn len(self) -> usize {
        self.count * self.size[0] * self.size[1]
    }

    #[cfg(test)]
    pub fn of_image(count: usize, size: [usize; 2]) -> Self {
        Self { count, size, is_sound: false }
    }

    #[cfg(test)]
    pub fn of_sound(samples: usize) -> Self {
        Self { count: 1, size: [1, samples], is_sound: true }
    }
}
