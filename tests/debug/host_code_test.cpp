// What perf and gdb are told of generated code.
#include <elf.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <map>
#include <string>

#include "debug/gdb_jit.h"
#include "debug/perf_map.h"

extern "C" {
struct jit_code_entry {
  jit_code_entry *next_entry, *prev_entry;
  const char* symfile_addr;
  uint64_t symfile_size;
};
struct jit_descriptor {
  uint32_t version, action_flag;
  jit_code_entry *relevant_entry, *first_entry;
};
extern jit_descriptor __jit_debug_descriptor;
}

namespace penumbra::debug {
namespace {

alignas(16) u8 g_code[1 << 16];

HostCode block(u32 number, u64 size = 32) {
  constexpr u64 kGuest = 0x1000, kStep = 64;
  return {g_code + number * kStep, size, {kGuest + number}, kernel_mode(CodeSize::Long)};
}

/// Address -> name and size of all symbols that a debugger finds.
std::map<u64, std::pair<std::string, u64>> symbols() {
  std::map<u64, std::pair<std::string, u64>> found;
  for (auto* entry = __jit_debug_descriptor.first_entry; entry; entry = entry->next_entry) {
    const char* file = entry->symfile_addr;
    auto* header = reinterpret_cast<const Elf64_Ehdr*>(file);
    REQUIRE(std::memcmp(header->e_ident, ELFMAG, SELFMAG) == 0);
    auto* sections = reinterpret_cast<const Elf64_Shdr*>(file + header->e_shoff);
    for (u16 i = 0; i < header->e_shnum; ++i) {
      const Elf64_Shdr& section = sections[i];
      if (section.sh_type != SHT_SYMTAB) continue;
      REQUIRE(section.sh_offset + section.sh_size <= entry->symfile_size);
      auto* symbol = reinterpret_cast<const Elf64_Sym*>(file + section.sh_offset);
      for (size_t n = 1; n < section.sh_size / sizeof *symbol; ++n) {
        const char* names = file + sections[section.sh_link].sh_offset;
        u64 address = sections[symbol[n].st_shndx].sh_addr + symbol[n].st_value;
        found[address] = {names + symbol[n].st_name, symbol[n].st_size};
      }
    }
  }
  return found;
}

u64 address(const HostCode& code) { return reinterpret_cast<u64>(code.code); }

}  // namespace

TEST_CASE("The map for perf has address, size and name of every block") {
  {
    auto map = PerfMap::create();
    REQUIRE(map);
    (*map)->generated(block(0));
    HostCode user = block(1, 5);
    user.mode.set_size(CodeSize::Bits32);
    user.mode.set_cpl(3);
    (*map)->generated(user);
  }
  std::ifstream file(PerfMap::path());
  u64 at = 0, size = 0;
  std::string name;
  file >> std::hex >> at >> size >> name;
  CHECK((at == address(block(0)) && size == 32));
  CHECK(name == "guest_1000+64-kernel");
  file >> at >> size >> name;
  CHECK((at == address(block(1)) && size == 5));
  CHECK(name == "guest_1001+32-user");
  CHECK_FALSE(file >> name);
  std::remove(PerfMap::path().c_str());
}

TEST_CASE("A map for perf that exists already is replaced, not written to") {
  std::string other = PerfMap::path() + ".other";
  std::ofstream(other) << "kept";
  REQUIRE(std::rename(other.c_str(), PerfMap::path().c_str()) == 0);
  std::ifstream before(PerfMap::path());
  auto map = PerfMap::create();
  REQUIRE(map);
  (*map)->generated(block(0));
  map->reset();
  std::string text;
  before >> text;
  CHECK(text == "kept");
  std::remove(PerfMap::path().c_str());
}

TEST_CASE("A debugger finds a symbol for every block, in as many objects as it takes") {
  constexpr u32 kCount = 700;
  GdbJit jit;
  for (u32 i = 0; i < kCount; ++i) {
    jit.generated(block(i));
    REQUIRE(symbols().size() == i + 1);
  }
  auto found = symbols();
  CHECK(found[address(block(0))] == std::pair(std::string("guest_1000+64-kernel"), u64{32}));
  CHECK(found[address(block(699))] == std::pair(std::string("guest_12bb+64-kernel"), u64{32}));
}

TEST_CASE("A debugger forgets the symbols of code that was dropped") {
  {
    GdbJit jit;
    for (u32 i = 0; i < 300; ++i) jit.generated(block(i));
    jit.dropped(block(0).code, 64);
    CHECK(symbols().size() == 300 - 256);
    CHECK_FALSE(symbols().contains(address(block(0))));
    jit.generated(block(0));
    CHECK(symbols().contains(address(block(0))));
    CHECK(symbols().size() == 300 - 256 + 1);
  }
  CHECK(__jit_debug_descriptor.first_entry == nullptr);
}

}  // namespace penumbra::debug
