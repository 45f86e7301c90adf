/* What sessions.c, session_inputs.c and session_outputs.c share. */
#ifndef NORMA_PYTHON_SESSIONS_H
#define NORMA_PYTHON_SESSIONS_H

#include "module.h"

/* An array, the array that it is a view of, and so on. */
#define SESSIONS_LOCKS 4

/* What an input of the model is given for one run. */
typedef struct input_slot {
  PyObject *key; /* its name as str, borrowed from the model */
  const char *name;
  const norma_type *type;
  bool is_bound;                         /* the session has seen it set */
  PyObject *held;                        /* the array whose memory is read */
  PyArrayObject *locked[SESSIONS_LOCKS]; /* those that may not be written until the run has ended */
  norma_value *value;                    /* what was made of anything that is no array of numbers */
  void *copy;
  size_t copy_bytes;
} input_slot;

typedef struct session_object {
  PyObject_HEAD;
  model_object *model;
  norma_session *session;
  input_slot *inputs;
  PyArrayObject **outputs; /* by output: the array that the run computes into; NULL: none */
  bool copies_inputs, has_large_outputs;
  bool is_running;
} session_object;

module_state *sessions_state(const session_object *session);

/* Sets the inputs for a run: a dict by name, or a list or tuple in the order of the model. */
bool inputs_take(session_object *session, PyObject *given);

/* Gives back what they hold, once the run has ended. */
void inputs_release(session_object *session);

/* Lets large outputs whose sizes are known be computed where the caller gets them. */
bool outputs_bind(session_object *session);
void outputs_release(session_object *session);

/* The outputs of these names, or all of them (NULL), as a list. */
PyObject *outputs_take_all(session_object *session, PyObject *names);

#endif
