//! What a Linux guest says about itself and what it needs on KVM: a library shared by the plugins that open guests
