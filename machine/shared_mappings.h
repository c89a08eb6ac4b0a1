// Memory that fork() does not copy: shared mappings of files that only this process knows (memfd),
// and of no file.
#pragma once

namespace penumbra::machine {

/// To be called in a new process whose parent waits: gives it copies of all such mappings, at the
/// same addresses, with the same rights, and still shared among those of one file. Descriptors of
/// the files, if any are open, remain those of the parent.
bool own_shared_mappings();

}  // namespace penumbra::machine
