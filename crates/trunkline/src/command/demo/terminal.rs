//! The terminal: the alternate screen, keys, and the way back.
//!
//! Owns every escape sequence. Must not know what is shown. Dropping it gives the terminal back as it was, whatever happened.

use super::screen::{Line, Tone};
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, Color, Print, SetAttribute, SetBackgroundColor, SetForegroundColor};
use crossterm::terminal::{
    Clear, ClearType, DisableLineWrap, EnableLineWrap, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{cursor, execute, queue};
use std::io::{self, BufWriter, Stdout, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;

/// How often the thread that reads keys looks whether it should end.
const KEY_POLL: Duration = Duration::from_millis(100);

/// What the user pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Ctrl-C, q or Escape.
    Stop,
    /// Any other letter.
    Letter(char),
}

/// The terminal while the demo has it.
pub(super) struct Terminal {
    output: BufWriter<Stdout>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Takes the terminal; keys come through the receiver.
    ///
    /// # Errors
    /// When it does not take orders.
    pub(super) fn open() -> io::Result<(Self, mpsc::Receiver<Key>)> {
        enable_raw_mode()?;
        let (sender, keys) = mpsc::channel(16);
        let stop = Arc::new(AtomicBool::new(false));
        let for_reader = Arc::clone(&stop);
        let mut terminal = Self { output: BufWriter::new(io::stdout()), stop, reader: None };
        execute!(
            terminal.output,
            EnterAlternateScreen,
            cursor::Hide,
            DisableLineWrap,
            Clear(ClearType::All)
        )?;
        terminal.reader = Some(
            std::thread::Builder::new().name("keys".to_owned()).spawn(move || read(&for_reader, &sender))?,
        );
        Ok((terminal, keys))
    }

    /// Columns and rows.
    pub(super) fn size() -> (usize, usize) {
        let (columns, rows) = size().unwrap_or((80, 24));
        (usize::from(columns).max(20), usize::from(rows).max(5))
    }

    /// Shows these lines from the top, in one write, so that nothing flickers.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(super) fn show(&mut self, lines: &[Line], width: usize) -> io::Result<()> {
        for (row, line) in lines.iter().enumerate() {
            queue!(self.output, cursor::MoveTo(0, u16::try_from(row).unwrap_or(u16::MAX)))?;
            for (text, tone) in line {
                self.paint(*tone)?;
                queue!(self.output, Print(text), SetAttribute(Attribute::Reset))?;
            }
            // A full line leaves the cursor on its last column, and clearing from there would take that column with it.
            if line.iter().map(|(text, _)| text.chars().count()).sum::<usize>() < width {
                queue!(self.output, Clear(ClearType::UntilNewLine))?;
            }
        }
        let below = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        if usize::from(below) < Self::size().1 {
            queue!(self.output, cursor::MoveTo(0, below), Clear(ClearType::FromCursorDown))?;
        }
        self.output.flush()
    }

    fn paint(&mut self, tone: Tone) -> io::Result<()> {
        let output = &mut self.output;
        match tone {
            Tone::Plain => Ok(()),
            Tone::Quiet => queue!(output, SetAttribute(Attribute::Dim)),
            Tone::Strong => queue!(output, SetAttribute(Attribute::Bold)),
            Tone::Good => queue!(output, SetForegroundColor(Color::Green)),
            Tone::Notice => queue!(output, SetForegroundColor(Color::Yellow)),
            Tone::Bad => queue!(output, SetForegroundColor(Color::Red), SetAttribute(Attribute::Bold)),
            Tone::Bar => queue!(output, SetAttribute(Attribute::Reverse), SetAttribute(Attribute::Bold)),
            Tone::Alarm => {
                queue!(
                    output,
                    SetBackgroundColor(Color::Red),
                    SetForegroundColor(Color::White),
                    SetAttribute(Attribute::Bold)
                )
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            // It does not panic; if it did, the terminal must be given back all the same.
            let _ = reader.join();
        }
        // A terminal that is gone needs nothing back.
        let _ = execute!(
            self.output,
            SetAttribute(Attribute::Reset),
            EnableLineWrap,
            cursor::Show,
            LeaveAlternateScreen
        );
        let _ = disable_raw_mode();
    }
}

fn read(stop: &AtomicBool, keys: &mpsc::Sender<Key>) {
    while !stop.load(Ordering::Relaxed) {
        match event::poll(KEY_POLL) {
            Ok(false) => continue,
            Ok(true) => {}
            Err(_) => return,
        }
        let Ok(Event::Key(pressed)) = event::read() else { continue };
        if pressed.kind == KeyEventKind::Release {
            continue;
        }
        let key = match pressed.code {
            KeyCode::Char('c' | 'd') if pressed.modifiers.contains(KeyModifiers::CONTROL) => Key::Stop,
            KeyCode::Char('q') | KeyCode::Esc => Key::Stop,
            KeyCode::Char(letter) => Key::Letter(letter.to_ascii_lowercase()),
            _ => continue,
        };
        // A full queue means that the keys before it are not even handled yet.
        let _ = keys.try_send(key);
    }
}
