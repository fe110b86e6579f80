use super::*;

const DEPTHS: [Depth; 4] = [
    Depth::Never,
    Depth::Ansi16,
    Depth::Ansi256,
    Depth::TrueColor,
];

/// A picture whose colours follow from the place.
fn gradient(width: usize, height: usize) -> Picture {
    let rgb = (0..width * height)
        .flat_map(|i| {
            [
                (i % width * 255 / width) as u8,
                (i / width * 255 / height) as u8,
                128,
            ]
        })
        .collect();
    Picture { width, height, rgb }
}

/// A light disc on a dark ground, between two given lightnesses.
fn disc(side: usize, dark: u8, light: u8) -> Picture {
    let centre = side as f64 / 2.;
    let inside = |i: usize| {
        ((i % side) as f64 + 0.5 - centre).hypot((i / side) as f64 + 0.5 - centre) < centre * 0.8
    };
    Picture {
        width: side,
        height: side,
        rgb: (0..side * side)
            .flat_map(|i| [if inside(i) { light } else { dark }; 3])
            .collect(),
    }
}

fn draw(picture: &Picture, theme: Theme, ascii: bool, width: u16, height: u16) -> Buffer {
    let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
    PictureView::new(picture, &theme)
        .style(match ascii {
            true => PictureStyle::Ascii,
            false => PictureStyle::HalfBlocks,
        })
        .render(buf.area, &mut buf);
    buf
}

fn text(buf: &Buffer) -> String {
    let row = |y| {
        (0..buf.area.width)
            .map(|x| buf[(x, y)].symbol())
            .collect::<String>()
    };
    (0..buf.area.height).map(|y| row(y) + "\n").collect()
}

#[test]
fn half_blocks_show_every_pixel() {
    let picture = gradient(4, 4);
    let buf = draw(&picture, Theme::new(Depth::TrueColor, false), false, 4, 2);
    for (y, x) in (0..4).flat_map(|y| (0..4).map(move |x| (y, x))) {
        let cell = &buf[(x as u16, y as u16 / 2)];
        let [r, g, b] = picture.pixel(x, y);
        assert_eq!(
            if y % 2 == 0 { cell.fg } else { cell.bg },
            Color::Rgb(r, g, b)
        );
        assert_eq!(cell.symbol(), "▀");
    }
}

#[test]
fn enlarged_pixels_are_whole_and_the_picture_is_centred() {
    let buf = draw(
        &gradient(2, 2),
        Theme::new(Depth::TrueColor, false),
        false,
        9,
        4,
    );
    // scale 4: 8 of 9 columns, all 4 rows of cells
    assert!((0..4).all(|y| buf[(8, y)].symbol() == " "));
    assert_eq!(buf[(0, 0)].fg, buf[(3, 1)].bg);
    assert_ne!(buf[(3, 1)].fg, buf[(4, 1)].fg);
    assert_ne!(buf[(3, 1)].bg, buf[(3, 2)].fg);
}

#[test]
fn an_odd_height_leaves_the_last_half_to_the_background() {
    let buf = draw(
        &gradient(3, 3),
        Theme::new(Depth::Ansi256, false),
        false,
        3,
        2,
    );
    assert!((0..3).all(|x| buf[(x, 1)].bg == Color::Reset && buf[(x, 1)].symbol() == "▀"));
}

#[test]
fn each_depth_uses_its_own_colours_only() {
    for (depth, allowed) in [
        (
            Depth::Ansi256,
            (|c| matches!(c, Color::Indexed(_))) as fn(Color) -> bool,
        ),
        (Depth::Ansi16, |c| {
            !matches!(c, Color::Indexed(_) | Color::Rgb(..) | Color::Reset)
        }),
        (Depth::Never, |c| c == Color::Reset),
    ] {
        let buf = draw(&gradient(16, 16), Theme::new(depth, false), false, 16, 8);
        assert!(
            buf.content.iter().all(|c| allowed(c.fg) && allowed(c.bg)),
            "{depth:?}"
        );
    }
}

#[test]
fn characters_are_a_form_of_their_own() {
    let picture = disc(32, 40, 220);
    insta::assert_snapshot!(
        "disc_ascii",
        text(&draw(
            &picture,
            Theme::new(Depth::TrueColor, false),
            true,
            32,
            16
        ))
    );
    let without_colour = draw(&picture, Theme::new(Depth::Never, false), false, 32, 16);
    assert_eq!(
        text(&without_colour),
        text(&draw(
            &picture,
            Theme::new(Depth::Ansi16, true),
            false,
            32,
            16
        ))
    );
    assert!(text(&without_colour).is_ascii());
}

#[test]
fn a_dim_picture_shows_as_well() {
    let bright = draw(
        &disc(32, 40, 220),
        Theme::new(Depth::Never, true),
        true,
        32,
        16,
    );
    let dim = draw(
        &disc(32, 3, 9),
        Theme::new(Depth::Never, true),
        true,
        32,
        16,
    );
    assert_eq!(text(&dim), text(&bright));
}

#[test]
fn a_picture_of_one_colour_shows_how_light_it_is() {
    let glyph = |v| {
        text(&draw(
            &disc(4, v, v),
            Theme::new(Depth::Never, true),
            true,
            4,
            2,
        ))
        .chars()
        .next()
    };
    assert_eq!([glyph(0), glyph(255)], [Some(' '), Some('@')]);
}

#[test]
fn a_gradient_thinned_out_keeps_its_shape() {
    insta::assert_snapshot!(
        "gradient_thinned",
        text(&draw(
            &gradient(96, 64),
            Theme::new(Depth::Never, true),
            true,
            30,
            20
        ))
    );
}

#[test]
fn tiles_are_those_of_the_grid() {
    let picture = gradient(12, 8);
    assert_eq!(
        (
            picture.rows(4),
            picture.columns(4),
            picture.rows(0),
            picture.rows(9)
        ),
        (2, 3, 0, 0)
    );
    let tile = picture.tile(4, 1, 2).expect("inside");
    assert_eq!((tile.width, tile.height, tile.rgb.len()), (4, 4, 48));
    assert_eq!(
        (tile.pixel(0, 0), tile.pixel(3, 3)),
        (picture.pixel(8, 4), picture.pixel(11, 7))
    );
    assert!(
        picture.tile(4, 2, 0).is_none()
            && picture.tile(4, 0, 3).is_none()
            && picture.tile(0, 0, 0).is_none()
    );
}

#[test]
fn any_size_draws_without_a_panic() {
    let pictures = [
        gradient(1, 1),
        gradient(32, 32),
        gradient(500, 3),
        gradient(3, 500),
        Picture {
            width: 0,
            height: 0,
            rgb: vec![],
        },
    ];
    let torn = Picture {
        width: 5,
        height: 5,
        rgb: vec![1; 20],
    };
    for picture in pictures.iter().chain([&torn]) {
        for (width, height) in [
            (0, 0),
            (0, 5),
            (1, 1),
            (2, 1),
            (1, 9),
            (7, 3),
            (20, 5),
            (40, 10),
            (80, 24),
            (120, 40),
            (200, 60),
        ] {
            for depth in DEPTHS {
                draw(picture, Theme::new(depth, false), false, width, height);
            }
            // an area that reaches out of the buffer
            let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
            PictureView::new(picture, &Theme::new(Depth::TrueColor, false))
                .render(Rect::new(1, 1, 300, 300), &mut buf);
        }
    }
}

#[test]
fn a_png_is_read_and_an_absurd_or_broken_one_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p.png");
    let picture = gradient(6, 4);
    image::save_buffer(&path, &picture.rgb, 6, 4, image::ColorType::Rgb8).expect("written");
    assert_eq!(Picture::open(&path).expect("read"), picture);

    // a header that promises 20,000 × 20,000 pixels
    let mut bytes = std::fs::read(&path).expect("there");
    bytes[16..24].copy_from_slice(&[20_000u32.to_be_bytes(); 2].concat());
    let mut checksum = flate2::Crc::new();
    checksum.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum.sum().to_be_bytes());
    std::fs::write(&path, bytes).expect("written");
    let refusal = Picture::open(&path).expect_err("too large").to_string();
    assert!(
        refusal.contains("p.png") && refusal.contains("not a picture that can be shown"),
        "{refusal}"
    );

    std::fs::write(&path, b"\x89PNG\r\n\x1a\nrubbish").expect("written");
    assert!(matches!(Picture::open(&path), Err(Error::File { .. })));
    assert!(matches!(
        Picture::open(&folder.path().join("none.png")),
        Err(Error::Io { .. })
    ));
}

#[test]
fn finer_blocks_show_an_edge_that_half_blocks_blur() {
    // 16 black and white stripes on 8 columns
    let rgb = (0..16 * 16).flat_map(|i| [if i % 2 == 0 { 255 } else { 0 }; 3]);
    let stripes = Picture {
        width: 16,
        height: 16,
        rgb: rgb.collect(),
    };
    for depth in [Depth::TrueColor, Depth::Ansi256, Depth::Ansi16] {
        let theme = Theme::new(depth, false);
        for style in [PictureStyle::Quadrants, PictureStyle::Sextants] {
            let mut buf = Buffer::empty(Rect::new(0, 0, 8, 4));
            PictureView::new(&stripes, &theme)
                .style(style)
                .render(buf.area, &mut buf);
            let first = &buf[(0, 0)];
            assert_eq!(first.symbol(), "\u{258c}", "{style:?}");
            assert_ne!(first.fg, first.bg, "{style:?} at {depth:?}");
        }
    }
}

#[test]
fn every_style_fits_any_area() {
    let picture = gradient(7, 5);
    let theme = Theme::new(Depth::TrueColor, false);
    let mut style = PictureStyle::default();
    for _ in 0..3 {
        for (width, height) in [(0, 0), (1, 1), (3, 9), (80, 24)] {
            let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
            PictureView::new(&picture, &theme)
                .style(style)
                .render(buf.area, &mut buf);
        }
        style = style.next_blocks();
    }
    assert_eq!(style, PictureStyle::HalfBlocks);
    assert_eq!(style.toggle_ascii().next_blocks(), PictureStyle::HalfBlocks);
}

#[test]
fn samples_of_many_classes_are_long_pictures_that_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    // 130 classes at 128 pixels; 300 at 224, and more than a 16-bit number of rows
    for (width, height) in [(128, 130 * 128), (8, 300 * 224)] {
        let path = folder.path().join("samples.png");
        image::RgbImage::new(width, height).save(&path).unwrap();
        let picture = Picture::open(&path).unwrap();
        assert_eq!(picture.rows(width as usize), (height / width) as usize);
    }
}
