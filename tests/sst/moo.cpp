#include "tests/sst/moo.h"

#include <fmt/format.h>
#include <zlib.h>

#include <span>

namespace penumbra::sst {
namespace {

/// Reads little-endian values; what lies beyond the end reads as 0 and is remembered.
class Reader {
 public:
  explicit Reader(std::span<const u8> bytes) : bytes_(bytes) {}

  bool done() const { return bytes_.empty(); }
  bool failed() const { return failed_; }

  template <class T>
  T value() {
    auto part = take(sizeof(T));
    return part.size() == sizeof(T) ? load_from<T>(part.data()) : T{};
  }
  std::span<const u8> take(size_t size) {
    if (size > bytes_.size()) {
      failed_ = true;
      bytes_ = {};
      return {};
    }
    auto part = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return part;
  }
  /// Tag and contents of the next chunk.
  std::pair<std::string, Reader> chunk() {
    auto tag = take(4);
    auto size = value<u32>();
    return {std::string(tag.begin(), tag.end()), Reader(take(size))};
  }
  void fail() { failed_ = true; }

 private:
  std::span<const u8> bytes_;
  bool failed_ = false;
};

void read_regs(Reader& in, MooState& state) {
  auto mask = in.value<u16>();
  for (size_t i = 0; i < 16; ++i) {
    if ((mask >> i & 1) == 0) continue;
    auto value = in.value<u16>();
    if (i < kMooRegs) state.regs[i] = value;
  }
}

void read_ram(Reader& in, MooState& state) {
  for (auto count = in.value<u32>(); count > 0 && !in.failed(); --count) {
    auto address = in.value<u32>();
    state.memory.push_back({address, in.value<u8>()});
  }
}

bool read_state(Reader in, MooState& state) {
  while (!in.done()) {
    auto [tag, body] = in.chunk();
    if (tag == "REGS")
      read_regs(body, state);
    else if (tag == "RAM ")
      read_ram(body, state);
    if (body.failed()) in.fail();
  }
  return !in.failed();
}

bool read_test(Reader in, MooTest& test) {
  test.index = in.value<u32>();
  while (!in.done()) {
    auto [tag, body] = in.chunk();
    bool good = true;
    if (tag == "INIT")
      good = read_state(body, test.initial);
    else if (tag == "FINA")
      good = read_state(body, test.final);
    else if (tag == "BYTS" || tag == "NAME") {
      auto text = body.take(body.value<u32>());
      if (tag == "NAME")
        test.name.assign(text.begin(), text.end());
      else
        test.bytes.assign(text.begin(), text.end());
    } else if (tag == "EXCP") {
      test.exception = MooException{body.value<u8>()};
    }
    if (!good || body.failed()) in.fail();
  }
  return !in.failed() && !test.bytes.empty();
}

std::optional<std::vector<u8>> read_file(const std::string& path) {
  gzFile file = gzopen(path.c_str(), "rb");  // reads plain files too
  if (file == nullptr) return std::nullopt;
  std::vector<u8> data;
  u8 buffer[65536];
  int count;
  while ((count = gzread(file, buffer, sizeof buffer)) > 0)
    data.insert(data.end(), buffer, buffer + count);
  gzclose(file);
  if (count < 0) return std::nullopt;
  return data;
}

}  // namespace

std::expected<std::vector<MooTest>, std::string> read_moo(const std::string& path) {
  auto data = read_file(path);
  if (!data) return std::unexpected(fmt::format("cannot read {}", path));
  Reader in(*data);
  std::vector<MooTest> tests;
  bool header = false;
  while (!in.done()) {
    auto [tag, body] = in.chunk();
    if (tag == "MOO ") header = true;
    if (tag != "TEST") continue;
    if (!read_test(body, tests.emplace_back())) in.fail();
    if (in.failed()) break;
  }
  if (in.failed() || !header) return std::unexpected(fmt::format("{} is not a MOO file", path));
  return tests;
}

}  // namespace penumbra::sst
