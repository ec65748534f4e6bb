"""What training methods gain: small text members, their learned ensemble, the Devil's Advocate."""
