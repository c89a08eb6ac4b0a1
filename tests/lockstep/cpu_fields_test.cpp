#include "machine/cpu_fields.h"

#include <catch2/catch.hpp>

#include "common/archive.h"

namespace penumbra::machine {

namespace {

std::vector<u8> bytes_of(cpu::CpuState state) {
  Archive archive = Archive::saver();
  archive(state);
  return archive.take();
}

cpu::CpuState state_of(std::vector<u8> bytes) {
  Archive archive = Archive::loader(std::move(bytes));
  cpu::CpuState state;
  archive(state);
  REQUIRE(archive.exhausted());
  return state;
}

size_t count_differences(const cpu::CpuState& a, const cpu::CpuState& b) {
  std::vector<CpuField> of_a = cpu_fields(a), of_b = cpu_fields(b);
  REQUIRE(of_a.size() == of_b.size());
  size_t count = 0;
  for (size_t i = 0; i < of_a.size(); ++i) {
    count += of_a[i].value != of_b[i].value;
  }
  return count;
}

}  // namespace

TEST_CASE("every saved byte of the CPU's state belongs to one named field") {
  cpu::CpuState clean = with_explicit_flags({});
  std::vector<u8> bytes = bytes_of(clean);
  size_t named = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    CAPTURE(i);
    std::vector<u8> changed = bytes;
    changed[i] ^= 1;
    cpu::CpuState loaded = state_of(std::move(changed));
    cpu::CpuState state = with_explicit_flags(loaded);
    bool differs = bytes_of(state) != bytes;
    CHECK(count_differences(state, clean) == (differs ? 1 : 0));
    named += differs;
  }
  CHECK(named > bytes.size() - 33);
}

TEST_CASE("names of fields are different") {
  std::vector<std::string> names;
  for (const CpuField& field : cpu_fields({})) names.push_back(field.name);
  std::ranges::sort(names);
  CHECK(std::ranges::adjacent_find(names) == names.end());
}

}  // namespace penumbra::machine
