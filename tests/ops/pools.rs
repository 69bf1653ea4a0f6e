//! Pools from PyTorch's arguments.

use metamers::ops::{AvgPool2d, MaxPool2d, Window};

pub fn max_pool(window: Window, ceil: bool) -> MaxPool2d {
    let pool = MaxPool2d::new(window);
    if ceil { pool.ceil_mode() } else { pool }
}

pub fn avg_pool(window: Window, ceil: bool, count_padding: bool) -> AvgPool2d {
    let pool = AvgPool2d::new(window);
    let pool = if ceil { pool.ceil_mode() } else { pool };
    if count_padding { pool } else { pool.exclude_padding() }
}
