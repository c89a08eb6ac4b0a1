// stencil_extract NAME OUTPUT OBJECT...: writes the C++ file OUTPUT, which defines the tables NAME
// of all stencils in the objects. Prints every stencil that it has to refuse and then fails.

#include <fmt/format.h>

#include <fstream>

#include "jit/stencil/extract/tables.h"

namespace {

using namespace penumbra::jit::extract;

/// Whether all stencils of the object could be added.
bool add_object(const std::string& path, TableBuilder& tables) {
  Result<ObjectFile> object = ObjectFile::read(path);
  if (!object) {
    fmt::print(stderr, "stencil_extract: {}\n", object.error());
    return false;
  }
  bool is_good = true;
  for (const StencilSource& source : object->stencils()) {
    Result<ExtractedStencil> stencil = extract(source);
    Result<> added = stencil ? tables.add(*stencil) : std::unexpected(stencil.error());
    if (!added) fmt::print(stderr, "stencil_extract: {}: {}\n", path, added.error());
    is_good &= added.has_value();
  }
  return is_good;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) {
    fmt::print(stderr, "usage: stencil_extract NAME OUTPUT OBJECT...\n");
    return 2;
  }
  TableBuilder tables;
  bool is_good = true;
  for (int i = 3; i < count; i++) is_good &= add_object(arguments[i], tables);
  if (!is_good) return 1;
  std::ofstream output(arguments[2], std::ios::binary);
  output << cpp_text(tables.tables(), arguments[1]);
  output.close();
  if (output.good()) return 0;
  fmt::print(stderr, "stencil_extract: {}: cannot be written\n", arguments[2]);
  return 1;
}
