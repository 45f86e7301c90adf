/* Tensors in files: .npy, .npz, .pb and pictures in; .npy and .pb out. */
#ifndef TOOLS_FORMATS_TENSOR_FILE_H
#define TOOLS_FORMATS_TENSOR_FILE_H

#include "engine/norma.h"
#include "tools/formats/output_file.h"

/* Reads one value for an input or output declared as `expected`, which tells a TensorProto from a SequenceProto, and a
 * picture its size. An .npz must hold one array, or one of the expected name. The message begins with the path. */
norma_status tensor_file_read(norma_runtime *runtime, const char *path, const norma_value_info *expected,
                              norma_value **value, norma_error *error);

/* Whether the file is an .npz archive, which may hold several inputs. false if it cannot be read. */
bool tensor_file_is_archive(const char *path);

/* Calls visit for each array of an archive, in its order; stops at the first failure. `value` is visit's to keep, also
 * when it fails. `name` is valid during the call. */
typedef norma_status (*tensor_file_visit)(void *context, const char *name, norma_value *value, norma_error *error);
norma_status tensor_file_read_archive(norma_runtime *runtime, const char *path, tensor_file_visit visit, void *context,
                                      norma_error *error);

/* Writes FOLDER/STEM.npy, or FOLDER/STEM.pb for what .npy cannot hold. false: the error was printed. */
bool tensor_file_write(norma_runtime *runtime, output_group *group, const char *folder, const char *stem,
                       const char *name, const norma_value *contents);

#endif
