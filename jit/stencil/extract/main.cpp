// stencil_extract NAME OUTPUT OBJECT...: writes the C++ file OUTPUT, which defines the tables NAME
// of all stencils in the objects. Prints every stencil that it has to refuse and then fails.
// stencil_extract --list OBJECT...: prints the stencils for people to read.

#include <fmt/format.h>

#include <fstream>

#include "jit/stencil/extract/listing.h"
#include "jit/stencil/extract/tables.h"

namespace {

using namespace penumbra::jit::extract;

/// Gives each stencil of the objects to `take`; whether there was no error.
template <class Take>
bool for_each_stencil(std::span<char*> paths, Take take) {
  bool is_good = true;
  auto complain = [&](const std::string& error) {
    fmt::print(stderr, "stencil_extract: {}\n", error);
    is_good = false;
  };
  for (const char* path : paths) {
    Result<ObjectFile> object = ObjectFile::read(path);
    if (!object) {
      complain(object.error());
      continue;
    }
    for (const StencilSource& source : object->stencils()) {
      Result<ExtractedStencil> stencil = extract(source);
      Result<> taken = stencil ? take(*stencil) : std::unexpected(stencil.error());
      if (!taken) complain(fmt::format("{}: {}", path, taken.error()));
    }
  }
  return is_good;
}

bool write_tables(const std::string& name, const char* path, std::span<char*> objects) {
  TableBuilder tables;
  if (!for_each_stencil(objects, [&](const ExtractedStencil& s) { return tables.add(s); }))
    return false;
  std::ofstream output(path, std::ios::binary);
  output << cpp_text(tables.tables(), name);
  output.close();
  if (!output.good()) fmt::print(stderr, "stencil_extract: {}: cannot be written\n", path);
  return output.good();
}

bool list(std::span<char*> objects) {
  return for_each_stencil(objects, [](const ExtractedStencil& stencil) -> Result<> {
    fmt::print("{}\n", listing(stencil));
    return {};
  });
}

}  // namespace

int main(int count, char** arguments) {
  std::span all(arguments, static_cast<size_t>(count));
  if (count >= 2 && std::string(all[1]) == "--list") return list(all.subspan(2)) ? 0 : 1;
  if (count >= 3) return write_tables(all[1], all[2], all.subspan(3)) ? 0 : 1;
  fmt::print(
      stderr,
      "usage: stencil_extract NAME OUTPUT OBJECT...\n       stencil_extract --list OBJECT...\n");
  return 2;
}
