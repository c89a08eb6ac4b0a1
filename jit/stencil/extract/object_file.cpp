#include "jit/stencil/extract/object_file.h"

#include <fmt/format.h>
#include <llvm/Demangle/Demangle.h>
#include <llvm/Object/ELF.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <unordered_map>

namespace penumbra::jit::extract {
namespace {

using Elf = llvm::object::ELF64LEFile;
using Section = Elf::Elf_Shdr;

/// Carries an error of LLVM's through the calls below to ObjectFile::read().
struct BadObject {
  std::string message;
};

template <class T>
T checked(llvm::Expected<T> value) {
  if (!value) throw BadObject{llvm::toString(value.takeError())};
  return std::move(*value);
}

class Reader {
 public:
  explicit Reader(const std::vector<char>& bytes)
      : elf_(checked(Elf::create(llvm::StringRef(bytes.data(), bytes.size())))),
        sections_(checked(elf_.sections())) {
    for (const Section& section : sections_) {
      if (section.sh_type == llvm::ELF::SHT_SYMTAB_SHNDX)
        wide_indices_ = checked(elf_.getSHNDXTable(section));
      if (section.sh_type == llvm::ELF::SHT_RELA) relocations_[section.sh_info] = &section;
      if ((section.sh_flags & llvm::ELF::SHF_EXECINSTR) != 0) code_[name_of(section)] = &section;
    }
  }

  std::vector<StencilSource> stencils() const {
    std::vector<StencilSource> found;
    for (const Section& section : sections_)
      if (name_of(section) == ".stencil_index") read_index(section, found);
    return found;
  }

 private:
  std::string name_of(const Section& section) const {
    return checked(elf_.getSectionName(section)).str();
  }

  std::span<const u8> contents(const Section& section) const {
    llvm::ArrayRef<u8> bytes = checked(elf_.getSectionContents(section));
    return {bytes.data(), bytes.size()};
  }

  std::vector<Relocation> relocations_of(const Section& target) const {
    std::vector<Relocation> found;
    auto at = relocations_.find(static_cast<u32>(&target - sections_.data()));
    if (at == relocations_.end()) return found;
    for (const Elf::Elf_Rela& rela : checked(elf_.relas(*at->second)))
      found.push_back(relocation(*at->second, rela));
    std::ranges::sort(found, {}, &Relocation::offset);
    return found;
  }

  Relocation relocation(const Section& section, const Elf::Elf_Rela& rela) const {
    const Section& table = *checked(elf_.getSection(section.sh_link));
    const Elf::Elf_Sym* symbol = checked(elf_.getRelocationSymbol(rela, &table));
    if (symbol == nullptr) throw BadObject{"a relocation without a symbol"};
    Relocation result{.offset = static_cast<u32>(rela.r_offset),
                      .type = rela.getType(false),
                      .symbol = checked(symbol->getName(checked(elf_.getStringTable(
                                            *checked(elf_.getSection(table.sh_link))))))
                                    .str(),
                      .addend = rela.r_addend};
    const Section* home = checked(elf_.getSection(*symbol, &table, wide_indices_));
    result.is_undefined = home == nullptr;
    if (home != nullptr) {
      result.addend += static_cast<i64>(symbol->st_value);
      place_in_section(*home, result);
    }
    return result;
  }

  void place_in_section(const Section& home, Relocation& relocation) const {
    std::string name = name_of(home);
    if (name.starts_with(".rodata.cst") && home.sh_entsize != 0)
      relocation.constants = {contents(home), static_cast<u32>(home.sh_entsize)};
    if (relocation.symbol.empty() || name.starts_with(".text.")) relocation.symbol = name;
  }

  void read_index(const Section& index, std::vector<StencilSource>& found) const {
    std::span<const u8> bytes = contents(index);
    std::vector<Relocation> functions = relocations_of(index);
    if (bytes.size() != functions.size() * 16)
      throw BadObject{"the index has entries without a function"};
    for (size_t i = 0; i < functions.size(); i++) {
      u64 key;
      std::memcpy(&key, bytes.data() + 16 * i, sizeof key);
      if (functions[i].offset != 16 * i + 8)
        throw BadObject{"the index is not an array of entries"};
      found.push_back(function(key, functions[i]));
    }
  }

  StencilSource function(u64 key, const Relocation& place) const {
    auto at = code_.find(place.symbol);
    if (at == code_.end() || place.addend != 0)
      throw BadObject{fmt::format("key {:#x}: no function in a section of its own", key)};
    std::span<const u8> code = contents(*at->second);
    return {.key = key,
            .name = llvm::demangle(place.symbol.substr(place.symbol.find('.', 1) + 1)),
            .code = {code.begin(), code.end()},
            .relocations = relocations_of(*at->second)};
  }

  Elf elf_;
  llvm::object::DataRegion<Elf::Elf_Word> wide_indices_{llvm::ArrayRef<Elf::Elf_Word>()};
  llvm::ArrayRef<Section> sections_;
  std::unordered_map<u32, const Section*> relocations_;   ///< by the section that they patch
  std::unordered_map<std::string, const Section*> code_;  ///< by name
};

}  // namespace

Result<ObjectFile> ObjectFile::read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::unexpected(path + ": cannot be read");
  ObjectFile object;
  object.bytes_ = std::make_unique<std::vector<char>>(std::istreambuf_iterator<char>(file),
                                                      std::istreambuf_iterator<char>());
  try {
    object.stencils_ = Reader(*object.bytes_).stencils();
  } catch (const BadObject& error) {
    return std::unexpected(path + ": " + error.message);
  }
  return object;
}

}  // namespace penumbra::jit::extract
