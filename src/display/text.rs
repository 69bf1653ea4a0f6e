//! Text styles, measurement, wrapping and truncation.

use std::sync::OnceLock;

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont};
#[cfg(not(target_family = "wasm"))]
use plotters::style::register_font;
use plotters::style::{FontDesc, FontFamily, FontStyle, RGBColor, TextStyle};

use super::canvas::PLOT_DENSITY;
use super::colors::{MUTED, Rgb, TEXT};

const REGULAR: &[u8] = include_bytes!("../../assets/fonts/Inter-Regular.otf");
const SEMI_BOLD: &[u8] = include_bytes!("../../assets/fonts/Inter-SemiBold.otf");
/// The name under which the fonts are registered with plotters.
const NAME: &str = "Inter";

/// A text style: the em size in CSS pixels, the weight and the color.
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

    /// The distance from the top of a line to its baseline, in CSS pixels.
    pub fn baseline(&self) -> f32 {
        // The cap height of the font is 0.727 em: this centers capitals vertically.
        (self.line() + 0.727 * self.size) / 2.0
    }

    pub fn font(&self) -> &'static FontRef<'static> {
        static FONTS: OnceLock<[FontRef<'static>; 2]> = OnceLock::new();
        let fonts = FONTS.get_or_init(|| {
            [(FontStyle::Normal, REGULAR), (FontStyle::Bold, SEMI_BOLD)].map(|(_style, bytes)| {
                // An invalid font makes the next line panic, so the error needs no handling.
                #[cfg(not(target_family = "wasm"))]
                let _ = register_font(NAME, _style, bytes);
                FontRef::try_from_slice(bytes).expect("the embedded font is valid")
            })
        });
        &fonts[usize::from(self.bold)]
    }

    /// The font scale for an em of `density` times the size.
    pub fn scale(&self, density: f32) -> PxScale {
        let font = self.font();
        // The font crate scales by the height from ascender to descender, typography by the em.
        PxScale::from(self.size * density * font.height_unscaled() / font.units_per_em().unwrap_or(1000.0))
    }

    /// Converts to a style of plotters, at the density of its canvas.
    pub fn to_plotters(self) -> TextStyle<'static> {
        let style = if self.bold { FontStyle::Bold } else { FontStyle::Normal };
        let font = FontDesc::new(FontFamily::Name(NAME), f64::from(self.scale(PLOT_DENSITY).y), style);
        font.color(&RGBColor(self.color[0], self.color[1], self.color[2]))
    }

    /// Creates a style from the size of a text of plotters, the inverse of [`to_plotters`](Self::to_plotters).
    pub fn from_plotters(plotters: f64, bold: bool, color: Rgb) -> Self {
        let unit = Self { size: 1.0, bold, color };
        Self { size: plotters as f32 / unit.scale(PLOT_DENSITY).y, ..unit }
    }

    /// The width of a text in CSS pixels.
    pub fn width(&self, text: &str) -> f32 {
        let font = self.font().as_scaled(self.scale(1.0));
        glyphs(self.font(), text).map(|id| font.h_advance(id)).sum()
    }

    /// Truncates a text to `width`, with an ellipsis.
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

    /// Wraps a text at word boundaries to lines of at most `width`. Text beyond `max_lines` lines is replaced by an ellipsis.
    pub fn wrap(&self, text: &str, width: f32, max_lines: usize) -> Vec<String> {
        let mut lines = Vec::new();
        'lines: for paragraph in text.lines() {
            let mut line = String::new();
            for word in paragraph.split_whitespace() {
                if lines.len() > max_lines {
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
                line = self.break_word(word, width, &mut lines, max_lines);
            }
            lines.push(line);
            if lines.len() > max_lines {
                break;
            }
        }
        if lines.len() > max_lines {
            lines.truncate(max_lines);
            if let Some(last) = lines.last_mut() {
                *last = self.ellipsize(&format!("{last} …"), width);
                if !last.ends_with('…') {
                    last.push('…');
                }
            }
        }
        lines
    }

    /// Breaks a word that is wider than a line. All lines but the last are pushed to `lines`; the last is returned.
    fn break_word(&self, word: &str, width: f32, lines: &mut Vec<String>, max_lines: usize) -> String {
        let mut line = String::new();
        let mut used = 0.0;
        for letter in word.chars() {
            let advance = self.width(letter.encode_utf8(&mut [0; 4]));
            if used + advance > width && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
                used = 0.0;
                if lines.len() > max_lines {
                    break;
                }
            }
            line.push(letter);
            used += advance;
        }
        line
    }
}

/// Returns the glyphs of a text. Characters that the font lacks become an empty box; zero-width characters are skipped.
pub(crate) fn glyphs<'a>(font: &'a FontRef<'static>, text: &'a str) -> impl Iterator<Item = GlyphId> + 'a {
    let visible =
        text.chars().filter(|letter| !matches!(letter, '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'));
    visible.map(|letter| {
        let letter = if letter.is_control() || letter.is_whitespace() { ' ' } else { letter };
        match font.glyph_id(letter) {
            GlyphId(0) => font.glyph_id('□'),
            known => known,
        }
    })
}
