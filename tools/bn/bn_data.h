/*
 * The samples that norma bn reads: arrays (.npy and .npz, mapped, so that they may be larger than memory), folders of
 * test_data_set_N, and pictures. Samples are numbered in the order of the arguments; in a folder in the order of names.
 *
 * A sample is one index of axis 0 of every array; a data set of a folder is one sample, whatever its shapes.
 */
#ifndef TOOLS_BN_BN_DATA_H
#define TOOLS_BN_BN_DATA_H

#include "tools/bn/bn_settings.h"

typedef enum piece_kind {
  PIECE_ARRAY,   /* `view` holds the samples */
  PIECE_PICTURE, /* a file */
  PIECE_SET      /* a folder with input_0.pb, input_1.pb, ... */
} piece_kind;

/* Samples that come from one place, of one input. */
typedef struct bn_piece {
  piece_kind kind;
  char *path;
  int64_t first, count;
  norma_tensor view;    /* of an array */
  norma_value *decoded; /* what `view` points into; NULL: the mapping */
} bn_piece;

typedef struct bn_input {
  char *name;
  norma_value_info declared; /* as the model has it; its name is the one above */
  size_t count, capacity;
  bn_piece *pieces;
  int64_t samples;
} bn_input;

typedef struct bn_mapping {
  void *address;
  size_t bytes;
} bn_mapping;

typedef struct bn_data {
  norma_runtime *runtime;
  const struct reestimate_settings *settings;
  size_t input_count;
  bn_input *inputs;
  size_t mapping_count;
  bn_mapping *mappings;
  int64_t samples;
  int64_t batch;       /* samples of one run: the model's where that is fixed, else --batch or 32; 1 for data sets */
  bool batch_is_fixed; /* a run needs exactly `batch` samples */
  int64_t skipped;     /* samples left out so far, since they held NaN or infinities */
} bn_data;

/* Opens what the settings name and checks it against the model's inputs. false: the error was printed. bn_data_close is
 * due in either case. */
bool bn_data_open(bn_data *data, const struct reestimate_settings *settings, norma_runtime *runtime,
                  const norma_model *model);
void bn_data_close(bn_data *data);

/* Reads samples first .. first + count - 1 into `inputs`, one value per input of the model, which must be NULL and are
 * the caller's afterwards (NULL: an optional input that is not given). *valid tells how many samples there are: fewer
 * than count where bad ones were skipped; further ones, up to a fixed batch, repeat the last. false: the error was
 * printed, naming file and sample. */
bool bn_data_read(bn_data *data, int64_t first, int64_t count, norma_value **inputs, int64_t *valid);

#endif
