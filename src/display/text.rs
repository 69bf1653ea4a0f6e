//! Letters: how wide a text is, and how to make it fit.

use std::sync::OnceLock;

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont};
use plotters::style::{FontDesc, FontFamily, FontStyle, RGBColor, TextStyle, register_font};

use super::canvas::PLOT_DENSITY;
use super::colors::{MUTED, Rgb, TEXT};

const REGULAR: &[u8] = include_bytes!("../../assets/fonts/Inter-Regular.otf");
const SEMI_BOLD: &[u8] = include_bytes!("../../assets/fonts/Inter-SemiBold.otf");
/// What plotters calls the fonts.
const NAME: &str = "Inter";

/// How a text is set: the size of its em in CSS pixels, its weight and its colour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Style {
    pub size: f32,
    pub bold: bool,
    pub color: Rgb,
}

impl Style {
    pub const HEADING: Self = Self { size: 16.0, bold: true, color: TEXT };
    pub const TITLE: Self = Self { size: 13.0, bold: true, color: TEXT };
    pub const BODY: Self = Self { size: 12.0, bold: false, color: TEXT };
    pub const CAPTION: Self = Self { size: 12.0, bold: false, color: MUTED };
    pub const LABEL: Self = Self { size: 12.0, bold: false, color: TEXT };
    pub const TICK: Self = Self { size: 11.0, bold: false, color: MUTED };

    pub fn colored(self, color: Rgb) -> Self {
        Self { color, ..self }
    }

    /// The height of a line, in CSS pixels.
    pub fn line(&self) -> f32 {
        (self.size * 1.35).ceil()
    }

    /// From the top of a line down to where the letters stand, in CSS pixels.
    pub fn baseline(&self) -> f32 {
        // The font's capitals are 0.727 em high: this puts them into the middle of the line.
        (self.line() + 0.727 * self.size) / 2.0
    }

    pub fn font(&self) -> &'static FontRef<'static> {
        static FONTS: OnceLock<[FontRef<'static>; 2]> = OnceLock::new();
        let fonts = FONTS.get_or_init(|| {
            [(FontStyle::Normal, REGULAR), (FontStyle::Bold, SEMI_BOLD)].map(|(style, bytes)| {
                // plotters has read the same bytes, or the next line says that they are broken.
                let _ = register_font(NAME, style, bytes);
                FontRef::try_from_slice(bytes).expect("the font in the library is whole")
            })
        });
        &fonts[usize::from(self.bold)]
    }

    /// The font's scale for an em of `density` times the size.
    pub fn scale(&self, density: f32) -> PxScale {
        let font = self.font();
        // The font crate counts from the top of the highest letter to the bottom of the lowest, typography counts ems.
        PxScale::from(self.size * density * font.height_unscaled() / font.units_per_em().unwrap_or(1000.0))
    }

    /// The style for plotters to set a text in, at the density that it draws with.
    pub fn to_plotters(&self) -> TextStyle<'static> {
        let style = if self.bold { FontStyle::Bold } else { FontStyle::Normal };
        let font = FontDesc::new(FontFamily::Name(NAME), f64::from(self.scale(PLOT_DENSITY).y), style);
        font.color(&RGBColor(self.color[0], self.color[1], self.color[2]))
    }

    /// The style that [`to_plotters`](Self::to_plotters) gave.
    pub fn from_plotters(plotters: f64, bold: bool, color: Rgb) -> Self {
        let unit = Self { size: 1.0, bold, color };
        Self { size: plotters as f32 / unit.scale(PLOT_DENSITY).y, ..unit }
    }

    /// The width of a text in CSS pixels.
    pub fn width(&self, text: &str) -> f32 {
        let font = self.font().as_scaled(self.scale(1.0));
        glyphs(self.font(), text).map(|id| font.h_advance(id)).sum()
    }

    /// The text, or as much of it as fits into `width`, ended by an ellipsis.
    pub fn ellipsize(&self, text: &str, width: f32) -> String {
        if self.width(text) <= width {
            return text.to_owned();
        }
        let font = self.font().as_scaled(self.scale(1.0));
        let mut left = width - self.width("…");
        if left < 0.0 {
            return String::new();
        }
        let mut short = String::new();
        for letter in text.chars() {
            left -= glyphs(self.font(), letter.encode_utf8(&mut [0; 4])).map(|id| font.h_advance(id)).sum::<f32>();
            if left < 0.0 {
                break;
            }
            short.push(letter);
        }
        format!("{}…", short.trim_end())
    }

    /// The text as lines no wider than `width`, broken between words; what does not fit into `most` lines is left out behind an
    /// ellipsis.
    pub fn wrap(&self, text: &str, width: f32, most: usize) -> Vec<String> {
        let mut lines = Vec::new();
        'lines: for paragraph in text.lines() {
            let mut line = String::new();
            for word in paragraph.split_whitespace() {
                if lines.len() > most {
                    break 'lines;
                }
                let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
                if self.width(&longer) <= width {
                    line = longer;
                    continue;
                }
                if !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                }
                line = self.break_word(word, width, &mut lines, most);
            }
            lines.push(line);
            if lines.len() > most {
                break;
            }
        }
        if lines.len() > most {
            lines.truncate(most);
            if let Some(last) = lines.last_mut() {
                *last = self.ellipsize(&format!("{last} …"), width);
                if !last.ends_with('…') {
                    last.push('…');
                }
            }
        }
        lines
    }

    /// Breaks a word that is wider than a line anywhere; all lines but the last go to `lines`.
    fn break_word(&self, word: &str, width: f32, lines: &mut Vec<String>, most: usize) -> String {
        let mut line = String::new();
        let mut used = 0.0;
        for letter in word.chars() {
            let advance = self.width(letter.encode_utf8(&mut [0; 4]));
            if used + advance > width && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
                used = 0.0;
                if lines.len() > most {
                    break;
                }
            }
            line.push(letter);
            used += advance;
        }
        line
    }
}

/// The glyphs of a text; letters that the font does not have become an empty box, and what has no shape is left out.
pub(crate) fn glyphs<'a>(font: &'a FontRef<'static>, text: &'a str) -> impl Iterator<Item = GlyphId> + 'a {
    let shaped =
        text.chars().filter(|letter| !matches!(letter, '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'));
    shaped.map(|letter| {
        let letter = if letter.is_control() || letter.is_whitespace() { ' ' } else { letter };
        match font.glyph_id(letter) {
            GlyphId(0) => font.glyph_id('□'),
            known => known,
        }
    })
}
