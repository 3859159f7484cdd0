//! Records and map keys shared by the agent and the kernel side.
