//! A web server for as long as the test runs.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

/// Gives its address.
pub fn start() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().flatten().for_each(|client| drop(serve(client))));
    format!("http://{address}")
}

fn serve(mut client: TcpStream) -> std::io::Result<()> {
    let mut request = String::new();
    let mut lines = BufReader::new(client.try_clone()?);
    lines.read_line(&mut request)?;
    let mut header = String::new();
    while lines.read_line(&mut header)? > 2 {
        header.clear();
    }
    let (status, body) = match request.split(' ').nth(1) {
        Some("/page") => ("200 OK", "a page\n".to_owned()),
        Some("/large") => ("200 OK", "a large page\n".repeat(5000)),
        _ => ("404 Not Found", String::new()),
    };
    write!(client, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}
