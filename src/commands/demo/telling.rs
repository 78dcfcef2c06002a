//! The story of grants for a person: what came of each chapter, and how to click through it oneself.

use std::fmt::Write as _;

use crate::commands::demo::board::BOARD;
use crate::commands::demo::scene::Scene;
use crate::commands::demo::story::Chapter;
use crate::commands::demo::table::Paint;

/// All chapters.
pub(super) fn to_text(chapters: &[Chapter], paint: Paint) -> String {
    let mut text = format!("\n{}\n", paint.title("4. A user connects accounts, and the backend gets the tokens"));
    for chapter in chapters {
        let mark = if chapter.is_right() { paint.good("ok") } else { paint.bad("WRONG") };
        let _written = writeln!(text, "\n  {}  {mark}", chapter.title);
        for line in &chapter.told {
            let _written = writeln!(text, "      {line}");
        }
        for wrong in &chapter.wrong {
            let _written = writeln!(text, "      {}", paint.bad(&format!("wrong: {wrong}")));
        }
    }
    let wrong = chapters.iter().filter(|chapter| !chapter.is_right()).count();
    let said = match wrong {
        0 => paint.good(&format!("{} chapters, and all was as it should be.", chapters.len())),
        _ => paint.bad(&format!("{wrong} of {} chapters did not end as they should.", chapters.len())),
    };
    let _written = writeln!(text, "\n{said}");
    text
}

/// What a person can click through while it stays up.
pub(super) fn to_click(scene: &Scene) -> String {
    let (origin, ca) = (&scene.origin, scene.file("ca.pem").display().to_string());
    format!(
        "
All that in your browser: open

    {origin}{BOARD}

The browser will warn of the certificate, which was made a moment ago and nobody vouches for: choose `Advanced` and go on, for this
address alone. (Its authority is {ca}, for whoever wants to check it first.)
The page stands for a board of monday.com, and has a button for each step:
  1. `Add the automation` opens the app's Authorization URL. The gateway asks for monday.com and for Demo Code Host, one after the
     other: press `Continue`, then `Allow`. You come back to the board, which shows all the headers that the backend got.
  2. `Add the automation` again: you are back at once.
  3. `Run the automation`, twice with some seconds between: Demo Code Host's token is another one each time.
  4. `Remove the app at Demo Code Host`, and after some seconds `Run the automation`: status 403, with a link to connect again.
  5. `Uninstall the app`: the vault is empty.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chapter_that_is_wrong_says_why_and_is_counted() {
        let right = Chapter { title: "One", told: vec!["what came".to_owned()], wrong: Vec::new() };
        let wrong = Chapter { title: "Two", told: Vec::new(), wrong: vec!["why".to_owned()] };
        let text = to_text(&[right.clone(), wrong], Paint::Plain);
        assert!(text.contains("One  ok\n      what came") && text.contains("Two  WRONG\n      wrong: why"), "{text}");
        assert!(text.contains("1 of 2 chapters did not end as they should."), "{text}");
        assert!(to_text(&[right], Paint::Plain).contains("1 chapters, and all was as it should be."));
    }
}
