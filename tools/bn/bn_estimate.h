/* New statistics of BatchNormalization nodes: the state of one estimation, pass by pass. */
#ifndef TOOLS_BN_BN_ESTIMATE_H
#define TOOLS_BN_BN_ESTIMATE_H

#include "tools/bn/bn_data.h"
#include "tools/bn/bn_ranks.h"

/* One node of the study. */
typedef struct node_estimate {
  norma_bn_info about;
  int64_t channels;
  double *stored_mean, *stored_variance; /* the model's */
  double *mean, *variance;               /* the result once `done`; of ema the running ones */
  double count;                          /* elements per channel behind the result */
  bool done;
  norma_moments *moments; /* of the current pass */
} node_estimate;

typedef struct bn_estimate {
  const struct reestimate_settings *settings;
  const char *path; /* of the model */
  norma_runtime *runtime;
  norma_bn_study *study;
  uint64_t fingerprint; /* of the model's file */
  bool simultaneous;
  int passes;      /* levels; 1 with simultaneous; epochs with ema */
  int pass;        /* the current one, from 1; passes + 1: all are done */
  int64_t next;    /* batches of this process's share that are done in the current pass */
  bool whole;      /* the share of the current pass is done */
  int64_t samples; /* of this process's data; 0: not known */
  size_t count;
  node_estimate *nodes; /* one per node of the study */
} bn_estimate;

/* Opens the model and marks the nodes that --only chooses. Prints errors; bn_estimate_close is due in either case.
 * *code is set where the answer is no. */
bool bn_estimate_open(bn_estimate *estimate, const struct reestimate_settings *settings, const char *path, int *code);
void bn_estimate_close(bn_estimate *estimate);

/* Runs the current pass over this process's share of the batches, from `next` on. Ends early, with *interrupted, where
 * a signal asked for it. `save` (may be NULL) is called every few seconds and at the end. */
typedef bool (*bn_save)(void *context);
bool bn_estimate_run(bn_estimate *estimate, bn_data *data, const ranks *ranks, bn_save save, void *context,
                     bool *interrupted);

/* Joins what all ranks have gathered, makes results of it, and goes to the next pass. */
bool bn_estimate_finish_pass(bn_estimate *estimate, const ranks *ranks);

/* SIGINT and SIGTERM end the run after the batch that is being done. */
void bn_catch_signals(void);

#endif
