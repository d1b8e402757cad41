//! Build script of every package that links librdkafka: its calls that are named in `wrapped.txt` go
//! through functions of `src/kafka` (`leaders`, `coordinator`, `lookups`, `silent`). The names are read when the script
//! runs: a build that another checkout left in a shared target directory must not go by that checkout's.

const NAMES: &str = "../connectors/wrapped.txt";

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed={NAMES}");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        for name in
            std::fs::read_to_string(NAMES)?.lines().map(str::trim).filter(|name| !name.is_empty())
        {
            println!("cargo:rustc-link-arg=-Wl,--wrap={name}");
        }
    }
    Ok(())
}
