/*
 * Tensor data that stand in files beside the model. Only regular files beneath the model's folder are read: no absolute
 * path, no "..", no symbolic link, no file with a second hard link (which could stand for one outside). Or the
 * embedding program supplies the bytes.
 */
#ifndef PROTO_EXTERNAL_DATA_H
#define PROTO_EXTERNAL_DATA_H

#include "engine/base/byte_source.h"

typedef struct external_data {
  memory *memory;
  const char *model_path; /* NULL: no file system */
  bool map;
  norma_read_external read; /* used when there is no model_path; may be NULL */
  void *read_context;
  interruption *interruption; /* asked between pieces of what is read; NULL: nobody is */
  /* Private: the folder and the file that was read last. */
  int folder;
  char *location;
  byte_source file;
} external_data;

/* Strings are borrowed until external_data_close. */
void external_data_init(external_data *external, memory *memory, const char *model_path, bool map,
                        norma_read_external read, void *read_context);
void external_data_close(external_data *external);

/* Reads `length` bytes (not 0) at `offset` of `location`.
 * Errors: FILE, INVALID_MODEL (a location that is not allowed, or a range outside the file), OUT_OF_MEMORY, BUDGET. */
norma_status external_data_read(external_data *external, const char *location, uint64_t offset, size_t length,
                                void *destination, norma_error *error);

/* The same without copying, where files are mapped: *owner is a reference for the caller to release, *data lies in it.
 * NULL where files are not mapped. */
norma_status external_data_view(external_data *external, const char *location, uint64_t offset, size_t length,
                                buffer **owner, const void **data, norma_error *error);

#endif
