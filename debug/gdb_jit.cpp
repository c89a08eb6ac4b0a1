#include "debug/gdb_jit.h"

#include <elf.h>

#include <bit>
#include <cstddef>
#include <cstring>
#include <string>

#include "common/log.h"
#include "debug/code_name.h"

// Names, layout and use of these are gdb's.
extern "C" {
struct jit_code_entry {
  jit_code_entry* next_entry;
  jit_code_entry* prev_entry;
  const char* symfile_addr;
  uint64_t symfile_size;
};

struct jit_descriptor {
  uint32_t version;
  uint32_t action_flag;
  jit_code_entry* relevant_entry;
  jit_code_entry* first_entry;
};

/// gdb has a breakpoint here.
__attribute__((noinline, used)) void __jit_debug_register_code() { asm volatile("" ::: "memory"); }

__attribute__((used)) jit_descriptor __jit_debug_descriptor = {1, 0, nullptr, nullptr};
}

namespace penumbra::debug {
namespace {

enum class Action : u32 { None, Register, Unregister };

void tell(Action action, jit_code_entry& entry) {
  __jit_debug_descriptor.action_flag = static_cast<u32>(action);
  __jit_debug_descriptor.relevant_entry = &entry;
  __jit_debug_register_code();
}

void insert(jit_code_entry& entry) {
  entry.prev_entry = nullptr;
  entry.next_entry = __jit_debug_descriptor.first_entry;
  if (entry.next_entry != nullptr) entry.next_entry->prev_entry = &entry;
  __jit_debug_descriptor.first_entry = &entry;
  tell(Action::Register, entry);
}

void remove(jit_code_entry& entry) {
  if (entry.next_entry != nullptr) entry.next_entry->prev_entry = entry.prev_entry;
  (entry.prev_entry != nullptr ? entry.prev_entry->next_entry
                               : __jit_debug_descriptor.first_entry) = entry.next_entry;
  tell(Action::Unregister, entry);
}

constexpr u32 kBlocks = 256;
constexpr size_t kNameBytes = 48;
constexpr char kSectionNames[] = "\0.text\0.symtab\0.strtab";
constexpr u32 kTextName = 1, kSymtabName = 7, kStrtabName = 15;

/// One object: a section that stands for the code, and its symbols. It is filled in place.
struct Object {
  enum Section : u16 { kNone, kText, kSymbols, kStrings, kSections };
  Elf64_Ehdr header;
  Elf64_Shdr sections[kSections];
  Elf64_Sym symbols[kBlocks + 1];
  char strings[sizeof kSectionNames + kBlocks * kNameBytes];
};

}  // namespace

class GdbJit::Batch {
 public:
  explicit Batch(const u8* begin) : begin_(begin) {
    write_header();
    write_sections();
    entry_ = {nullptr, nullptr, reinterpret_cast<const char*>(&object_), sizeof object_};
    insert(entry_);
  }
  ~Batch() { remove(entry_); }
  Batch(const Batch&) = delete;

  u32 count() const { return count_; }
  /// Whether the block lies behind those of the batch.
  bool takes(const HostCode& code) const {
    return !closed_ && count_ < kBlocks && code.code >= end();
  }
  /// Takes no more: code that follows may be dropped at another time.
  void close() { closed_ = true; }
  bool overlaps(const u8* begin, u64 size) const { return begin_ < begin + size && begin < end(); }

  void add(const HostCode& code) {
    std::string name = code_name(code).substr(0, kNameBytes - 1);
    u64 offset = static_cast<u64>(code.code - begin_);
    Elf64_Shdr& strings = object_.sections[Object::kStrings];
    std::memcpy(object_.strings + strings.sh_size, name.c_str(), name.size() + 1);
    object_.symbols[++count_] = {static_cast<u32>(strings.sh_size),
                                 ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                                 STV_DEFAULT,
                                 Object::kText,
                                 offset,
                                 code.size};
    strings.sh_size += name.size() + 1;
    object_.sections[Object::kSymbols].sh_size = (count_ + 1) * sizeof(Elf64_Sym);
    object_.sections[Object::kText].sh_size = offset + code.size;
  }

  /// A gdb that is attached reads it again.
  void announce() {
    remove(entry_);
    insert(entry_);
  }

 private:
  const u8* end() const { return begin_ + object_.sections[Object::kText].sh_size; }

  void write_header() {
    Elf64_Ehdr& header = object_.header;
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_REL;
    header.e_machine = EM_X86_64;
    header.e_version = EV_CURRENT;
    header.e_shoff = offsetof(Object, sections);
    header.e_ehsize = sizeof(Elf64_Ehdr);
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = Object::kSections;
    header.e_shstrndx = Object::kStrings;
  }

  void write_sections() {
    Elf64_Shdr& text = object_.sections[Object::kText];
    text.sh_name = kTextName;
    text.sh_type = SHT_NOBITS;
    text.sh_flags = SHF_ALLOC | SHF_EXECINSTR;
    text.sh_addr = reinterpret_cast<u64>(begin_);
    text.sh_addralign = 1;
    Elf64_Shdr& symbols = object_.sections[Object::kSymbols];
    symbols.sh_name = kSymtabName;
    symbols.sh_type = SHT_SYMTAB;
    symbols.sh_offset = offsetof(Object, symbols);
    symbols.sh_size = sizeof(Elf64_Sym);
    symbols.sh_link = Object::kStrings;
    symbols.sh_info = 1;
    symbols.sh_addralign = alignof(Elf64_Sym);
    symbols.sh_entsize = sizeof(Elf64_Sym);
    Elf64_Shdr& strings = object_.sections[Object::kStrings];
    strings.sh_name = kStrtabName;
    strings.sh_type = SHT_STRTAB;
    strings.sh_offset = offsetof(Object, strings);
    strings.sh_size = sizeof kSectionNames;
    strings.sh_addralign = 1;
    std::memcpy(object_.strings, kSectionNames, sizeof kSectionNames);
  }

  const u8* begin_;
  u32 count_ = 0;
  bool closed_ = false;
  jit_code_entry entry_{};
  Object object_{};
};

GdbJit::GdbJit() { PENUMBRA_ASSERT(__jit_debug_descriptor.first_entry == nullptr); }
GdbJit::~GdbJit() = default;

void GdbJit::generated(const HostCode& code) {
  if (batches_.empty() || !batches_.back()->takes(code)) {
    batches_.push_back(std::make_unique<Batch>(code.code));
  }
  Batch& batch = *batches_.back();
  batch.add(code);
  if (std::has_single_bit(batch.count())) batch.announce();
}

void GdbJit::dropped(const u8* begin, u64 size) {
  batches_.remove_if([&](const auto& batch) { return batch->overlaps(begin, size); });
  if (!batches_.empty()) batches_.back()->close();
}

}  // namespace penumbra::debug
